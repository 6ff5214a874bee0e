"""One payment kind, two providers, and a policy that chooses by tenant; ``python examples/tenants`` shows it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dagstack_plugins import PluginRegistry, RoutingRequest, TimingMiddleware

HERE = Path(__file__).resolve().parent
TENANTS = {"acme": "premium", "bolt": "basic", "corp": "premium"}


class ByPlan:
    """A routing policy: the provider of the tenant's plan.

    Args:
        providers: plan to provider; may be changed while calls run.
    """

    def __init__(self, providers: dict[str, str]) -> None:
        self.providers = providers

    def __call__(self, request: RoutingRequest) -> str | None:
        """The provider's name, or ``None`` for who has no plan: then the one with the highest priority answers."""
        return self.providers.get(TENANTS.get(request.metadata.get("tenant", ""), ""))


async def pay(registry: PluginRegistry, tenant: str, amount_cents: int) -> str:
    """Charge a tenant, and tell what came of it."""
    payment = registry.kind("payment_provider")
    with registry.metadata(tenant=tenant):
        paid = await payment.charge(amount_cents=amount_cents, currency="EUR")
    return f"{tenant:<8} {TENANTS.get(tenant, 'no plan'):<8} {paid.transaction_id:<16} fee {paid.fee_cents / 100:.2f}"


async def main() -> None:
    """Charge each tenant, switch the premium provider while the registry runs, and charge them again."""
    timing = TimingMiddleware()
    registry = PluginRegistry()
    registry.add_hookspecs(HERE / "kinds")
    registry.discover(HERE / "plugins")
    registry.register(timing, TimingMiddleware.manifest)
    policy = ByPlan({"premium": "card", "basic": "bank_transfer"})
    registry.set_routing_policy("payment_provider", policy)
    async with registry.running():
        for headline in ("premium pays by card", "premium pays by bank transfer"):
            print(f"{headline}:")
            for line in await asyncio.gather(*(pay(registry, tenant, 10_00) for tenant in (*TENANTS, "visitor"))):
                print(f"  {line}")
            policy.providers["premium"] = "bank_transfer"
    print("calls:")
    for provider, hooks in timing.as_dict()["payment_provider"].items():
        print(f"  {provider:<14} {hooks['charge']['calls']}")


if __name__ == "__main__":
    asyncio.run(main())
