// The page as a whole.

import * as about from "./about.js";
import * as connection from "./connection.js";
import * as gates from "./gates.js";
import * as graph from "./graph.js";
import * as head from "./head.js";
import * as log from "./log.js";
import * as timeline from "./timeline.js";

for (const part of [head, gates, graph, timeline, about, log]) part.start();
connection.begin();
