import { testBalancer } from "./kit.mjs";

await testBalancer("nginx", "nginx/nginx.conf", /proxy_read_timeout (\d+)s/);
