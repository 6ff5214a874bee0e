// The official TypeScript SDK's client: lists a server's tools, calls one, and prints both as JSON.
//   [TOKEN=...] node client.mjs TOOL ARGUMENTS (URL | COMMAND...)
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [tool, given, first, ...rest] = process.argv.slice(2);
const transport = first.startsWith("http:")
  ? new StreamableHTTPClientTransport(new URL(first), {
      requestInit: { headers: { Authorization: `Bearer ${process.env.TOKEN}` } },
    })
  : new StdioClientTransport({ command: first, args: rest, env: process.env });
const client = new Client({ name: "test", version: "1.0.0" });
await client.connect(transport);
const { tools } = await client.listTools();
const answer = await client.callTool({ name: tool, arguments: JSON.parse(given) });
console.log(JSON.stringify({ tools, answer }));
await client.close();
