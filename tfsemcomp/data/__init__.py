"""Record schema, TFRecord readers and writers, augmentation."""
