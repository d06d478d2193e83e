"""A test is a function with a sentence for a name. No framework: a machine needs Python 3.9 or newer, and nothing else.

`main(globals())` runs every function whose name begins with `test_`, in the order of the file, prints one line for each, and ends with
`N passed, N failed`. The process fails if one failed, if none ran, or if the file's time is up. `python3 run.py WORD` runs those with WORD
in their name.
"""

import os
import signal
import sys
import time
import traceback


class Skip(Exception):
    """Can't be tried on this machine. Said loudly; a failure where CI is set, since there everything can be tried."""


class OurHostOnly(Exception):
    """About our own program, so not tried with `--on spin`. Said, and no failure."""


class Failure(AssertionError):
    """A check that does not hold."""


def equal(found, wanted, what=""):
    """Fails unless both are equal."""
    if found != wanted:
        raise Failure(f"{what + ': ' if what else ''}expected {wanted!r}, found {found!r}")


def holds(condition, what):
    """Fails unless the condition holds."""
    if not condition:
        raise Failure(what)


def contains(text, *pieces):
    """Fails unless every piece is in the text."""
    for piece in pieces:
        if piece not in text:
            raise Failure(f"{piece!r} is not in {text[:2000]!r}")


def eventually(condition, seconds, what):
    """Waits until the condition gives something true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def _out_of_time(_signal, _frame):
    raise TimeoutError("the time of this file is up")


def main(names, limit=120):
    """Runs the tests of a file, within `limit` seconds."""
    wanted = sys.argv[1:]
    passed, failed, skipped = 0, 0, 0
    signal.signal(signal.SIGALRM, _out_of_time)
    # Who stops a test must not leave its servers behind.
    signal.signal(signal.SIGTERM, _out_of_time)
    signal.alarm(limit)
    tests = [(name, test) for name, test in names.items() if name.startswith("test_") and callable(test)]
    tests = [(name, test) for name, test in tests if not wanted or any(word in name for word in wanted)]
    for name, test in tests:
        sentence = name[len("test_"):].replace("_", " ")
        start = time.monotonic()
        try:
            test()
        except OurHostOnly as reason:
            skipped += 1
            print(f"SKIPPED {sentence}: {reason}", flush=True)
        except Skip as reason:
            if os.environ.get("CI"):
                failed += 1
                print(f"FAILED  {sentence}: could not be tried: {reason}", flush=True)
            else:
                skipped += 1
                print(f"SKIPPED {sentence}: {reason}", flush=True)
        except (Exception, KeyboardInterrupt) as error:  # A test may fail in any way it likes.
            failed += 1
            print(f"FAILED  {sentence}: {type(error).__name__}: {error}", flush=True)
            if not isinstance(error, Failure):
                traceback.print_exc(file=sys.stdout)
            if isinstance(error, (TimeoutError, KeyboardInterrupt)):
                break
        else:
            passed += 1
            print(f"ok      {sentence} ({time.monotonic() - start:.1f} s)", flush=True)
    signal.alarm(0)
    finish = names.get("finish")
    if finish:
        finish()
    if passed + failed + skipped == 0:
        print("no test ran: that is a failure")
        failed = 1
    if skipped:
        print(f"{skipped} SKIPPED: why is said above")
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
