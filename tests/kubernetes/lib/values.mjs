/** Values to render the chart with: each part of it once on and once off. */
export const VALUES = [
  { title: "as it is", values: {} },
  {
    title: "small, nothing that is not needed",
    values: {
      replicas: 1,
      autoscaling: { enabled: false },
      podDisruptionBudget: { enabled: false },
      networkPolicy: { enabled: false },
      drain: { preStop: 1, time: 5, grace: 5 },
      resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "128Mi" } },
    },
  },
  {
    title: "everything, with a Redis of one's own",
    external: {
      "Secret/chat": ["admin-token", "redis-password", "redis-ca.crt", "jwt.pem"],
      "Secret/chat-tls": ["tls.crt", "tls.key"],
    },
    values: {
      fullnameOverride: "chat",
      image: { tag: "0.1.0-2", pullPolicy: "Always" },
      imagePullSecrets: [{ name: "registry" }],
      autoscaling: { minReplicas: 5, maxReplicas: 40, cpuPercent: 50, connectionsPerPod: 7000 },
      server: { maxConnections: 18000, origins: ["https://chat.example.com", "http://localhost:9090"] },
      log: { level: "debug", format: "logfmt" },
      drain: { preStop: 10, time: 120, grace: 30 },
      extraConfig: 'auth = {\n  mode = "jwt";\n  keys = ( { id = "a"; algorithm = "ES256"; public-key-file = "/run/secrets/webwire/jwt.pem"; } );\n};\n',
      tls: { enabled: true, secretName: "chat-tls" },
      secrets: { existing: "chat" },
      redis: {
        url: "rediss+sentinel://s0.example.com,s1.example.com:26380/webwire?ca_file=/run/secrets/webwire/redis-ca.crt",
        prefix: "chat",
      },
      networkPolicy: { redisCidrs: ["10.20.0.0/16"], redisPorts: [6379, 26379, 26380], monitoringNamespace: "prom" },
      service: { type: "LoadBalancer", port: 443, annotations: { "example.com/lb": "internal" } },
      ingress: { enabled: true, host: "chat.example.com", path: "/ws", tlsSecretName: "chat-cert", annotations: { a: "b" } },
      podAnnotations: { "example.com/team": "chat" },
      podLabels: { team: "chat" },
      nodeSelector: { "kubernetes.io/os": "linux" },
      tolerations: [{ key: "dedicated", operator: "Equal", value: "chat", effect: "NoSchedule" }],
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            {
              weight: 100,
              podAffinityTerm: {
                topologyKey: "kubernetes.io/hostname",
                labelSelector: { matchLabels: { "app.kubernetes.io/component": "node" } },
              },
            },
          ],
        },
      },
      priorityClassName: "high",
      monitoring: { serviceMonitor: true, rules: true, dashboard: true, interval: "30s", labels: { release: "prometheus" } },
    },
  },
];
