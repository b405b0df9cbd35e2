"""What this process may use of each limit without asking anybody: counters, the chain of a call, its place in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..snapshot import Key, Rule
from .estimate import NEW_TOKENS, cost, prompt_estimate
from .messages import MOST, Answer, Kind, Line
from .seam import Ask, Usage

KINDS: dict[str, Kind] = {
    "requests_per_minute": "minute", "tokens_per_minute": "minute", "concurrent_requests": "level",
    "tokens_per_month": "month", "money_per_month": "month",
}
IDLE_SECONDS = 10
MOST_CHAINS = 100_000


class Counter:
    """One quantity of one rule. Of what the store has granted, calls hold some, have spent some, and `room` is left.

    What they hold is what is neither spent nor left, so that a call need not write it down.
    """

    __slots__ = ("granted", "idle", "is_tight", "kind", "limit", "name", "quantity", "room", "rule", "seed", "size", "spent",
                 "usual")

    def __init__(self, rule: Rule, quantity: str, limit: int) -> None:
        self.rule = rule
        self.quantity = quantity
        self.name = f"{rule.id}:{quantity}"
        self.kind = KINDS[quantity]
        self.limit = min(limit, MOST)
        self.granted = 0
        self.spent = 0  # not yet told to the store
        self.room = 0
        self.size = 0  # of the last call, if there was one in this second
        self.usual = 0  # of the last call, while there are calls
        self.idle = 0  # seconds since then
        self.is_tight = False
        self.seed: tuple[int, int] | None = None  # month, and what the database knows to be used in it

    @property
    def held(self) -> int:
        """Reserved by calls on their way."""
        return self.granted - self.spent - self.room

    @property
    def is_active(self) -> bool:
        """Whether the store has to hear of it."""
        return bool(self.held or self.spent or self.room or self.size or self.usual)

    def age(self) -> None:
        """Once a second: who has not called for a while wants no share."""
        if self.size:
            self.usual, self.size, self.idle = self.size, 0, 0
        elif self.idle < IDLE_SECONDS:
            self.idle += 1
        else:
            self.usual = 0

    def line(self, month: int) -> Line:
        """What to tell the store. Until it answers, half of the room stays usable."""
        size = max(self.size, self.usual)
        keep = 0 if self.is_tight or not size else max(self.room, 0) // 2
        self.shrink(self.room - keep)
        seed, self.seed = self.seed, None
        spends = ((0, self.spent),) if self.spent else ()
        return Line(self.name, self.kind, self.limit, self.held, keep, size, spends, month,
                    seed[1] if seed and seed[0] == month else None)

    def hear(self, answer: Answer, line: Line) -> None:
        """The store's answer to `line`. What calls took and gave back in between counts too."""
        held = self.held
        self.spent -= sum(amount for _, amount in line.spends)
        self.granted = answer.grant
        self.room = answer.grant - held - self.spent
        self.is_tight = answer.is_tight

    def shrink(self, amount: int) -> None:
        """So much less may be taken from now on."""
        self.granted -= amount
        self.room -= amount

    def last_line(self, month: int) -> Line:
        """What to tell the store when this process ends."""
        return Line(self.name, self.kind, self.limit, spends=((0, self.spent),) if self.spent else (), month=month)


Capped = tuple[tuple[Counter, int], ...]


class Chain:
    """The counters that apply to the calls of one key for one model.

    A call that alone is over a limit may still run when nothing else does, since its size is an estimate only: it holds
    the whole limit, the second number of `tokens` and `money`. It stays with the chain, so that what is given back is
    what was taken. A call without a price touches no limit of money.
    """

    __slots__ = ("is_empty", "levels", "money", "requests", "tell", "tokens", "units")

    def __init__(self, counters: Iterable[Counter], tell: Callable[[Counter], None]) -> None:
        own = list(counters)
        self.is_empty = not own
        self.tell = tell
        self.requests = tuple(one for one in own if one.quantity == "requests_per_minute")
        self.levels = tuple(one for one in own if one.quantity == "concurrent_requests")
        self.units = self.requests + self.levels  # of which a call takes one each
        self.tokens: Capped = tuple((one, max(one.limit, 1)) for one in own if one.quantity.startswith("tokens"))
        self.money: Capped = tuple((one, max(one.limit, 1)) for one in own if one.quantity == "money_per_month")


class Place:
    """What one call holds in the counters of its chain. One without a price has nothing to do with money."""

    __slots__ = ("_chain", "_money", "_price", "_priced", "_tokens")
    _priced: Capped

    def __init__(self, chain: Chain, ask: Ask) -> None:
        new = ask.max_tokens
        prompt = prompt_estimate(ask.body_bytes)
        self._chain = chain
        self._tokens = prompt + (NEW_TOKENS if new is None else new)
        if ask.price is not None and chain.money:
            self._price = ask.price
            self._priced = chain.money
            self._money = cost(Usage(prompt, self._tokens - prompt), ask.price)
        else:
            self._priced = ()

    def needs(self) -> Iterator[tuple[Counter, int]]:
        chain = self._chain
        for counter in chain.units:
            yield counter, 1
        for counter, most in chain.tokens:
            yield counter, min(self._tokens, most)
        for counter, most in self._priced:
            yield counter, min(self._money, most)

    def try_take(self) -> bool:
        """Whether what this process was granted has room for it in every counter."""
        chain, tokens = self._chain, self._tokens
        for counter in chain.units:
            if counter.room < 1:
                return False
        for counter, most in chain.tokens:
            if counter.room < tokens and counter.room < most:
                return False
        for counter, most in self._priced:
            if counter.room < self._money and counter.room < most:
                return False
        self.take()
        return True

    def take(self) -> None:
        chain, tokens = self._chain, self._tokens
        for counter in chain.units:
            counter.room -= 1
            counter.size = 1
        for counter in chain.requests:
            counter.spent += 1
        for counter, most in chain.tokens:
            counter.size = held = tokens if tokens < most else most
            counter.room -= held
        for counter, most in self._priced:
            counter.size = held = min(self._money, most)
            counter.room -= held

    def settle(self, usage: Usage) -> None:
        chain, tokens = self._chain, self._tokens
        for counter in chain.levels:
            counter.room += 1
            if counter.is_tight:
                chain.tell(counter)
        used = usage.prompt_tokens + usage.completion_tokens
        for counter, most in chain.tokens:
            held = tokens if tokens < most else most
            counter.room += held - used
            counter.spent += used
            if counter.is_tight:
                chain.tell(counter)
        if self._priced:
            self._settle_money(cost(usage, self._price))

    def _settle_money(self, used: int) -> None:
        for counter, most in self._priced:
            held = min(self._money, most)
            counter.room += held - used
            counter.spent += used
            if counter.is_tight:
                self._chain.tell(counter)


class Counters:
    """The counters of all rules, and for each key and model the chain of those that apply."""

    def __init__(self, tell: Callable[[Counter], None]) -> None:
        """`tell` is called for a tight counter when a call gives back some of it."""
        self._tell = tell
        self._by_name: dict[str, Counter] = {}
        self._chains: dict[tuple[int, str], Chain] = {}
        self._rules: dict[int, list[tuple[Rule, list[Counter]]]] = {}

    def __iter__(self) -> Iterator[Counter]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def follow(self, rules: Iterable[Rule]) -> None:
        """Keep what is counted under the rules that stay. A rule that goes is forgotten when its calls have ended."""
        before, self._by_name, self._rules, self._chains = self._by_name, {}, {}, {}
        for rule in rules:
            own = [self._counter(before, rule, name, limit) for name in KINDS if (limit := getattr(rule, name)) is not None]
            self._rules.setdefault(rule.workspace_id, []).append((rule, own))
        for name, counter in before.items():
            if counter.held:
                self._by_name.setdefault(name, counter)

    def chain(self, key: Key, model_name: str) -> Chain:
        """Every counter that applies to calls of this key for this model."""
        known = self._chains.get((key.id, model_name))
        return self._new_chain(key, model_name) if known is None else known

    def _new_chain(self, key: Key, model_name: str) -> Chain:
        if len(self._chains) >= MOST_CHAINS:
            self._chains.clear()
        made = self._chains[key.id, model_name] = Chain(
            [counter for rule, counters in self._rules.get(key.workspace_id, ()) for counter in counters
             if applies(rule, key, model_name)], self._tell)
        return made

    def _counter(self, before: dict[str, Counter], rule: Rule, quantity: str, limit: int) -> Counter:
        made = Counter(rule, quantity, limit)
        counter = before.get(made.name, made)
        counter.shrink(max(counter.limit - made.limit, 0))  # until the store has told what the new limit grants
        counter.limit, counter.rule = made.limit, rule
        self._by_name[counter.name] = counter
        return counter


def applies(rule: Rule, key: Key, model_name: str) -> bool:
    return (rule.member_id in (0, key.member_id) and rule.key_id in (0, key.id)
            and rule.model_name in ("", model_name))
