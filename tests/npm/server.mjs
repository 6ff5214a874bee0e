// A plugin of the first major version of the official TypeScript SDK, which many servers are written with.
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import * as z from "zod";

const server = new McpServer({ name: "corner", version: "1.0.0" });
const inputSchema = { thing: z.string(), wait: z.number().optional() };
const outputSchema = { cents: z.number().int() };
server.registerTool("shop.corner.price", { inputSchema, outputSchema }, async ({ thing }) => {
  if (thing === "nothing") throw new Error("it has no price");
  return { content: [], structuredContent: { cents: thing.length } };
});
server.registerTool("shop.corner.count", {}, async () => ({ content: [{ type: "text", text: "3" }] }));
await server.connect(new StdioServerTransport());
