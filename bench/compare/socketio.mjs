// A Socket.IO server: event "echo" is acknowledged with its text, event "msg"
// is emitted to all, on all nodes when a Redis is named.
//   node socketio.mjs [redis://HOST:PORT]
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

async function adapter(url) {
  const publisher = createClient({ url });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  return createAdapter(publisher, subscriber);
}

const url = process.argv[2];
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  serveClient: false,
  adapter: url ? await adapter(url) : undefined,
});

io.on("connection", (socket) => {
  socket.on("echo", (text, done) => done(text));
  socket.on("msg", (text) => io.emit("msg", text));
});
http.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log(`listening on ws://127.0.0.1:${http.address().port}`);
});
