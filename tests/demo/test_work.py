import threading

from tests.harness import SemCompTestCase
from tfsemcomp import errors
from tfsemcomp.demo.shelf import Shelf
from tfsemcomp.demo.work import Work


class WorkTest(SemCompTestCase):
    def test_results_and_errors_come_back(self):
        work = Work(1, 60)
        self.addCleanup(work.close)
        self.assertEqual(work.run(divmod, 7, 2), (3, 1))
        with self.assertRaises(ZeroDivisionError):
            work.run(divmod, 7, 0)

    def test_who_waits_too_long_is_told(self):
        work, hold = Work(1, 0.05), threading.Event()
        self.addCleanup(work.close)
        self.addCleanup(hold.set)
        ran = []
        with self.assertRaisesRegex(errors.LimitError, "longer than 0.05 s"):
            work.run(hold.wait)
        # The only thread is still busy: others give up, too, and never run.
        with self.assertRaises(errors.LimitError):
            work.run(ran.append, 1)
        hold.set()
        work._pool.shutdown(wait=True)
        self.assertEqual(ran, [])

    def test_no_more_at_a_time_than_there_are_workers(self):
        work = Work(2, 60)
        self.addCleanup(work.close)
        lock, now, most = threading.Lock(), [0], [0]
        together = threading.Barrier(2)

        def job() -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            together.wait()
            with lock:
                now[0] -= 1

        threads = [threading.Thread(target=work.run, args=(job,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(most[0], 2)


class ShelfTest(SemCompTestCase):
    def test_the_oldest_go(self):
        shelf = Shelf(self.folder, most=2)
        paths = [shelf.put("a.png", bytes([n])) for n in range(4)]
        self.assertLen(set(paths), 4)
        found = sorted(self.folder.rglob("*.png"))
        self.assertCountEqual(map(str, found), paths[2:])
        self.assertEqual({path.read_bytes() for path in found}, {b"\2", b"\3"})

    def test_names_stay_in_the_folder(self):
        path = Shelf(self.folder).put("../../x.png", b"1")
        self.assertIn(str(self.folder), path)
        self.assertLen(list(self.folder.rglob("x.png")), 1)
