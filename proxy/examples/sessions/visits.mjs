// A backend in Node that keeps a count in the session.
//
//     node visits.mjs [PORT]

import { createServer } from "node:http";

const server = createServer((request, response) => {
  const visits = Number(request.headers["rondel-session-visits"] ?? 0) + 1;
  response.setHeader("Content-Type", "text/plain");
  // Taken off by the proxy and kept in the session. An empty value would delete it.
  response.setHeader("Rondel-Session-Visits", String(visits));
  response.end(`visit ${visits}\n`);
});

server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () => {
  console.log("listening on", server.address().port);
});
