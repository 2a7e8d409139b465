"""The page of `tfsemcomp demo`: a photo, a codec, and what comes back.

    file --studio.open_photo--> Photo --studio.compress--> Result --words--> HTML
                                  |                          |
                       maps <-> the painter       studio.show, swap_texture

`catalogue`, `maps`, `studio` and `words` are functions of values and know no web
page; `page` lays them out with Gradio, `gate` and `server` say who may ask for what.
Only those last three need the extra `demo`.
"""
