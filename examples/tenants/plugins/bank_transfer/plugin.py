"""Takes payments by bank transfer: slower, and for nothing."""

import asyncio
import itertools


class BankTransfer:
    def setup(self):
        self.numbers = itertools.count(1)

    async def charge(self, ctx):
        await asyncio.sleep(0.01)  # banks take their time
        return {"transaction_id": f"bank-{ctx.metadata.get('tenant', 'nobody')}-{next(self.numbers)}", "fee_cents": 0}
