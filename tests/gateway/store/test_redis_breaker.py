"""Whether Redis is worth asking, by what came of it before."""

from gateway.store.redis.breaker import Breaker


def test_it_opens_after_so_many_failures_in_a_row_and_has_doubts_before() -> None:
    changes: list[bool] = []
    breaker = Breaker(2, changes.append)
    assert not breaker.has_doubts
    breaker.fail()
    assert breaker.has_doubts and not breaker.is_open
    breaker.succeed()
    assert not breaker.has_doubts
    breaker.fail()
    breaker.fail()
    assert breaker.has_doubts and breaker.is_open
    breaker.succeed()
    assert not breaker.has_doubts and not breaker.is_open and changes == [True, False]
