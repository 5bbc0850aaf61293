// An entropy service without rustls: Node's HTTP and TLS, which is OpenSSL's.
//
// Serves POST BASE/entropy and, where the options have them, GET BASE/capabilities. The options
// come from the file that is the only argument; what happens is told on standard output, one JSON
// object a line, before the client learns of it. Ends with its standard input.
"use strict";

const { randomBytes } = require("node:crypto");
const { readFileSync } = require("node:fs");

const options = JSON.parse(readFileSync(process.argv[2], "utf8"));
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

function send(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}

function allows({ block_size: size, block_count: count }) {
  const limits = options.capabilities?.entropy ?? { max_block_size: 1024, max_block_count: 512 };
  const { min_block_size = 1, max_block_size, min_block_count = 1, max_block_count } = limits;
  return (
    size >= min_block_size && size <= max_block_size &&
    count >= min_block_count && count <= max_block_count
  );
}

function answer(request, response, body) {
  const { method, url } = request;
  if (method === "GET" && url === `${options.base}/capabilities` && options.capabilities) {
    return send(response, 200, options.capabilities);
  }
  if (method !== "POST" || url !== `${options.base}/entropy`) {
    return send(response, 404, {});
  }
  const ask = JSON.parse(body);
  if (!allows(ask)) {
    tell({ refused: ask });
    return send(response, 422, {});
  }
  const blocks = Array.from({ length: ask.block_count }, () => randomBytes(ask.block_size));
  tell({ served: Buffer.concat(blocks).toString("hex"), ask });
  return send(response, 200, { entropy: blocks.map((block) => block.toString("base64")) });
}

function serve(request, response) {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => answer(request, response, Buffer.concat(chunks).toString()));
}

const server = options.tls
  ? require("node:https").createServer(options.tls, serve)
  : require("node:http").createServer(serve);
server.on("secureConnection", (socket) => tell({ connected: socket.getProtocol() }));
server.on("tlsClientError", (error) => tell({ failed: error.code }));
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => tell({ listening: server.address().port }));
process.stdin.on("end", () => process.exit(0)).resume();
