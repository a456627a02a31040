"""temporary."""
from collections.abc import Callable
from policies.finding import Finding
def recognize(text: str, checkpoint: Callable[[], None]) -> tuple[Finding, ...]:
    checkpoint()
    return ()
