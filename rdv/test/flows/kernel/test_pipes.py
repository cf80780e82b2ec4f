"""The stock of pipes."""

from __future__ import annotations

import errno
import fcntl
import os

from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.kernel import pipes
from rdv._flows.kernel.pipes import Pipe, Pipes
from rdv.test.doubles import present
from rdv.test.sockets import descriptors


class PipesTests(SynchronousTestCase):
    """``Pipes``."""

    def setUp(self) -> None:
        before = descriptors()
        self.addCleanup(lambda: self.assertEqual(descriptors(), before))

    def stock(self, limit: int = 3, spare: int = 2) -> Pipes:
        """One that is closed in the end."""
        stock = Pipes(limit, spare)
        self.addCleanup(stock.close)
        return stock

    def take(self, stock: Pipes, count: int) -> list[Pipe]:
        """So many."""
        return [present(stock.take()) for _ in range(count)]

    def assert_open(self, *taken: Pipe, still: bool = True) -> None:
        """These are, or are not."""
        for pipe in taken:
            for fd in pipe:
                self.assertEqual(os.path.exists(f"/proc/self/fd/{fd}"), still)

    def test_pipe(self) -> None:
        """It never blocks, and no child process gets it."""
        stock = self.stock()
        pipe = present(stock.take())
        os.write(pipe.write_end, b"abc")
        self.assertEqual(os.read(pipe.read_end, 10), b"abc")
        self.assertRaises(BlockingIOError, os.read, pipe.read_end, 10)
        self.assertFalse(any(map(os.get_inheritable, pipe)))
        stock.give_back(pipe)

    def test_spare(self) -> None:
        """Those that stay in stock are large, the others are not."""
        stock = self.stock(limit=3, spare=2)
        taken = self.take(stock, 3)
        sizes = [fcntl.fcntl(pipe.read_end, fcntl.F_GETPIPE_SZ) for pipe in taken]
        self.assertEqual(sizes, [1 << 20, 1 << 20, 1 << 18])
        for pipe in taken:
            stock.give_back(pipe)
        self.assert_open(*taken[:2])
        self.assert_open(taken[2], still=False)
        self.assertEqual(stock.taken, 0)

    def test_limit(self) -> None:
        """One that is in stock does not count."""
        stock = self.stock(limit=2)
        one, two = self.take(stock, 2)
        self.assertIsNone(stock.take())
        self.assertEqual(stock.taken, 2)
        stock.give_back(one)
        self.assertEqual(stock.taken, 1)
        self.assertEqual(stock.take(), one)
        self.assertIsNone(stock.take())
        stock.discard(one)
        one = present(stock.take())
        for pipe in (one, two):
            stock.give_back(pipe)
        self.assertEqual(stock.taken, 0)

    def test_discard(self) -> None:
        """What is in it shall never come out."""
        stock = self.stock()
        (pipe,) = self.take(stock, 1)
        os.write(pipe.write_end, b"abc")
        stock.discard(pipe)
        self.assert_open(pipe, still=False)
        self.assertEqual(stock.taken, 0)
        (pipe,) = self.take(stock, 1)
        self.assertRaises(BlockingIOError, os.read, pipe.read_end, 10)
        stock.give_back(pipe)

    def test_close(self) -> None:
        """Those in stock; it goes on to work."""
        stock = self.stock()
        one, two = self.take(stock, 2)
        stock.give_back(one)
        stock.close()
        stock.close()
        self.assert_open(one, still=False)
        self.assert_open(two)
        stock.give_back(two)
        self.assertEqual(stock.take(), two)
        stock.discard(two)

    def test_no_descriptor(self) -> None:
        def pipe2(flags: int) -> tuple[int, int]:
            raise OSError(errno.EMFILE, "too many")

        stock = self.stock()
        patch = self.patch(os, "pipe2", pipe2)
        self.assertIsNone(stock.take())
        self.assertEqual(stock.taken, 0)
        patch.restore()
        stock.give_back(present(stock.take()))

    def test_reserved_descriptors(self) -> None:
        """They are left alone."""
        stock = self.stock()
        (pipe,) = self.take(stock, 1)
        stock.discard(pipe)
        self.patch(pipes, "first_reserved", lambda: max(pipe))
        self.assertIsNone(stock.take())
        self.assert_open(pipe, still=False)
        self.assertEqual(stock.taken, 0)

    def test_no_large_one(self) -> None:
        """A small one is better than none."""

        def refuse(fd: int, command: int, argument: int = 0) -> int:
            raise PermissionError(errno.EPERM, "too much")

        stock = self.stock()
        self.patch(fcntl, "fcntl", refuse)
        pipe = present(stock.take())
        self.assertEqual(stock.taken, 1)
        stock.give_back(pipe)
