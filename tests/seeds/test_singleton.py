"""Singleton: one active plugin of a kind; and the table of common errors, row by row."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dagstack.plugin_system import (
    AmbiguousPlugin,
    KindUnknown,
    PluginContext,
    PluginRegistry,
    ResourceRegistry,
    RuntimeNotSupported,
)

KIND = """
    kind: payment_provider
    kind_api_version: 1.0.0
    description: Payment provider — charge, refund, status check.

    hooks:
      - name: charge
        dispatch: singleton
        input_schema: schemas/charge.input.json
        output_schema: schemas/charge.output.json
        mcp_exposed: true
      - name: refund
        dispatch: singleton
        input_schema: schemas/refund.input.json
        output_schema: schemas/refund.output.json
        mcp_exposed: true
"""

STRIPE = """
    [plugin]
    name = "stripe"
    kind = "payment_provider"
    runtime = "in_process"
    core_version = ">=0.1.0,<1.0.0"
    priority = 50
"""

STRIPE_CODE = """
    class StripeProvider:
        async def setup(self, ctx):
            self._http = ctx.registry.resource_registry.get("http_client")
            self._config = ctx.config

        async def charge(self, input):
            response = await self._http.post(
                "https://api.stripe.com/v1/charges",
                headers={"Authorization": f"Bearer {self._config['api_key']}"},
                json={"amount": input.amount_cents, "currency": input.currency, "source": input.source},
            )
            return {"transaction_id": response.json()["id"], "status": "succeeded"}
"""

# The document leaves out the other half of this plugin, the other plugin's code, and the schemas.
STRIPE_REST = """
        async def refund(self, input):
            return {"refunded": True}
"""

INTERNAL = """
    [plugin]
    name = "internal"
    kind = "payment_provider"
    runtime = "in_process"
    core_version = ">=0.1.0,<1.0.0"
    priority = 40
"""

INTERNAL_CODE = """
    class InternalProvider:
        def charge(self, amount_cents, currency):
            return {"transaction_id": f"internal-{amount_cents}-{currency}", "status": "succeeded"}

        def refund(self, input):
            return {"refunded": False}
"""


def _object(**properties: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "properties": {name: {"type": kind} for name, kind in properties.items()},
    }


SCHEMAS = {
    "charge.input": _object(amount_cents="integer", currency="string", source="string"),
    "charge.output": _object(transaction_id="string", status="string"),
    "refund.input": _object(transaction_id="string"),
    "refund.output": _object(refunded="boolean"),
}

CONFIG = {"payment_provider": {"stripe": {"api_key": "sk_test"}}}


class StubHttpClient:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any, Any]] = []

    async def post(self, url: str, *, json: Any = None, headers: Any = None) -> Any:
        self.calls.append(("POST", url, headers, json))
        return SimpleNamespace(status_code=200, json=lambda: {"id": "ch_1"})


@pytest.fixture
def files(write: Any) -> Any:
    write("kinds/payment_provider/v1.yaml", KIND)
    for name, schema in SCHEMAS.items():
        write(f"kinds/payment_provider/schemas/{name}.json", json.dumps(schema))
    write("plugins/payment_provider/stripe/dagstack.toml", STRIPE)
    write("plugins/payment_provider/stripe/plugin.py", STRIPE_CODE + STRIPE_REST)
    write("plugins/payment_provider/internal/dagstack.toml", INTERNAL)
    write("plugins/payment_provider/internal/plugin.py", INTERNAL_CODE)
    return write


@pytest.fixture
def http() -> StubHttpClient:
    return StubHttpClient()


@pytest.fixture
def registry(files: Any, http: StubHttpClient) -> PluginRegistry:
    resources = ResourceRegistry()
    resources.register("http_client", http)
    registry = PluginRegistry(resource_registry=resources)
    registry.add_hookspecs("kinds/payment_provider/v1.yaml")
    registry.discover("plugins/")
    return registry


async def test_the_call(
    registry: PluginRegistry, http: StubHttpClient, run_fragment: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    charge_input = registry.types("payment_provider").ChargeInput
    async with registry.running(PluginContext(config=CONFIG, registry=registry)):
        await run_fragment(
            """
            payment = registry.get_plugin("payment_provider")
            result = await payment.charge(ChargeInput(amount_cents=1999, currency="USD", source="tok_visa"))
            print(result.transaction_id)
            """,
            registry=registry,
            ChargeInput=charge_input,
        )
    assert capsys.readouterr().out == "ch_1\n"
    assert http.calls == [
        (
            "POST",
            "https://api.stripe.com/v1/charges",
            {"Authorization": "Bearer sk_test"},
            {"amount": 1999, "currency": "USD", "source": "tok_visa"},
        )
    ]


async def test_a_plugin_by_name(registry: PluginRegistry, run_fragment: Any) -> None:
    charge_input = registry.types("payment_provider").ChargeInput
    async with registry.running(PluginContext(config=CONFIG)):
        names = await run_fragment(
            """
            payment = registry.get_plugin("payment_provider", name="internal")
            result = await payment.charge(ChargeInput(amount_cents=1999, currency="USD", source="tok_visa"))
            """,
            registry=registry,
            ChargeInput=charge_input,
        )
    assert names["result"].transaction_id == "internal-1999-USD"
    assert names["result"] == {"transaction_id": "internal-1999-USD", "status": "succeeded"}


async def test_the_environment_switches(registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    async with registry.running(PluginContext(config=CONFIG)):
        monkeypatch.setenv("DAGSTACK_ACTIVE_PAYMENT_PROVIDER", "internal")
        result = await registry.get_plugin("payment_provider").charge(1999, "USD", "tok_visa")
        assert result["transaction_id"] == "internal-1999-USD"


class TestCommonErrors:
    async def test_ambiguous_plugin_at_startup(self, files: Any, http: StubHttpClient) -> None:
        files("plugins/payment_provider/internal/dagstack.toml", INTERNAL.replace("40", "50"))
        resources = ResourceRegistry()
        resources.register("http_client", http)
        registry = PluginRegistry(resource_registry=resources)
        registry.add_hookspecs(Path("kinds"))
        registry.discover("plugins/")
        with pytest.raises(AmbiguousPlugin) as caught:
            await registry.setup_all(PluginContext(config=CONFIG))
        assert str(caught.value).startswith("equal priority for kind=payment_provider")
        assert "DAGSTACK_ACTIVE_PAYMENT_PROVIDER=" in str(caught.value)
        assert {status.state for status in registry.status()} == {"registered"}

    def test_kind_unknown(self, files: Any) -> None:
        registry = PluginRegistry()
        registry.discover("plugins/")
        with pytest.raises(KindUnknown, match="payment_provider") as caught:
            registry.get_plugin("payment_provider")
        assert "add_hookspecs" in str(caught.value)
        assert str(Path("plugins/payment_provider/stripe")) in str(caught.value)
        assert [type(status.error) for status in registry.status()] == [KindUnknown, KindUnknown]

        # In either order: the plugins waited for their kind.
        registry.add_hookspecs("kinds")
        assert [manifest.name for manifest in registry.list_manifests()] == ["stripe", "internal"]

    def test_runtime_not_supported(self, files: Any) -> None:
        http = '[plugin.mcp_http]\n    url = "https://stripe.example/mcp"\n'
        files(
            "plugins/payment_provider/stripe/dagstack.toml",
            STRIPE.replace('"in_process"', '"mcp_http"') + "\n    " + http,
        )
        registry = PluginRegistry(runtimes=["in_process"])
        registry.add_hookspecs("kinds")
        assert [manifest.name for manifest in registry.discover("plugins/")] == ["internal"]
        (refused,) = registry.unavailable_plugins()[1:]
        assert isinstance(refused.error, RuntimeNotSupported)
        assert refused.name == "stripe"
        assert "mcp_http" in refused.reason
