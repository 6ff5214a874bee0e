// Words as the Unicode standard and its dictionaries tell them, which Node.js brings along and Python doesn't.
import { McpServer } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import * as z from "zod";

function words({ text, locale }) {
  if (!text.trim()) throw new RangeError("there is nothing to split");
  const segments = new Intl.Segmenter(locale, { granularity: "word" }).segment(text);
  return { words: [...segments].filter((one) => one.isWordLike).map((one) => one.segment) };
}

// What a hook returns is the structured content; an error's type crosses in `_meta`, its message alone would do too.
function answer(hook) {
  return async (input) => {
    try {
      return { content: [], structuredContent: hook(input) };
    } catch (error) {
      const told = { type: error.name, message: error.message, traceback: error.stack };
      return { isError: true, content: [{ type: "text", text: error.message }], _meta: { "dagstack/error": told } };
    }
  };
}

serveStdio(() => {
  const server = new McpServer({ name: "icu", version: "1.0.0" });
  const inputSchema = z.object({ text: z.string(), locale: z.string().default("en") });
  const outputSchema = z.object({ words: z.array(z.string()) });
  server.registerTool("segmenter.icu.words", { inputSchema, outputSchema }, answer(words));
  return server;
});
