import { testBalancer } from "./kit.mjs";

await testBalancer("haproxy", "haproxy/haproxy.cfg", /WEBWIRE_TUNNEL (\d+)s/);
