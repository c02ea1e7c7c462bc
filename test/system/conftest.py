"""Fixtures of the system tests. The stack is made of real parts, see test/stack."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "stack"))

import stack as stacks  # noqa: E402


@pytest.fixture(autouse=True)
def one_day():
    """Limits of a day count what a test did before midnight and after it apart."""
    stacks.clear_of_midnight(20)


@pytest.fixture(scope="module")
def stack():
    """memcached, broker and one event-MPM vendor, shared by a module's tests."""
    with stacks.Stack() as made:
        yield made


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """memcached and broker of this worker, for tests that start vendors of their own."""
    with stacks.Stack(vendor=False) as made:
        yield made


@pytest.fixture
def make_vendor(shared):
    """make_vendor(**options): a started vendor at the shared broker; stopped after the test."""
    made = []

    def make(start=True, memcached=True, broker=None, **options):
        directory = os.path.join(shared.dir, "vendor-%d-%d" % (os.getpid(), len(os.listdir(shared.dir))))
        vendor = stacks.Vendor(directory, broker=broker or shared.broker,
                               memcached=shared.memcached if memcached is True else memcached, **options)
        made.append(vendor)
        return vendor.start() if start else vendor

    yield make
    for vendor in made:
        vendor.stop()
        reports = vendor.sanitizer_reports()
        assert not reports, reports[:20000]
