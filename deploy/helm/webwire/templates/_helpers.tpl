{{- define "webwire.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name, and the chart's unless that is part of it already. */}}
{{- define "webwire.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "webwire.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "webwire.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* include "webwire.selector" (list . COMPONENT) */}}
{{- define "webwire.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "webwire.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* include "webwire.labels" (list . COMPONENT) */}}
{{- define "webwire.labels" -}}
{{- $root := index . 0 -}}
{{ include "webwire.selector" . }}
app.kubernetes.io/part-of: webwire
app.kubernetes.io/version: {{ $root.Values.image.tag | default $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "webwire.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "webwire.secretName" -}}
{{- .Values.secrets.existing | default (printf "%s-secrets" (include "webwire.fullname" .)) -}}
{{- end -}}

{{/* "true" when the Redis to try out is there. */}}
{{- define "webwire.builtinRedis" -}}
{{- if and .Values.redis.builtin.enabled (not .Values.redis.url) -}}true{{- end -}}
{{- end -}}

{{- define "webwire.redisUrl" -}}
{{- if .Values.redis.url -}}
{{- .Values.redis.url -}}
{{- else if .Values.redis.builtin.enabled -}}
redis://{{ include "webwire.fullname" . }}-redis:6379
{{- else -}}
{{- fail "redis.url is empty and redis.builtin.enabled is false: nodes need a Redis" -}}
{{- end -}}
{{- end -}}

{{/* A list of strings as libconfig writes it. */}}
{{- define "webwire.strings" -}}
[ {{ range $i, $text := . }}{{ if $i }}, {{ end }}{{ $text | quote }}{{ end }} ]
{{- end -}}

{{- define "webwire.config" -}}
server = {
  listen = "0.0.0.0:8080";
  max-connections = {{ int .Values.server.maxConnections }};
{{- with .Values.server.origins }}
  origins = {{ include "webwire.strings" . }};
{{- end }}
};
{{- if .Values.tls.enabled }}

tls = {
  cert = "/run/tls/tls.crt";
  key = "/run/tls/tls.key";
};
{{- end }}

admin = {
  listen = "0.0.0.0:9180";
  token-file = "/run/secrets/webwire/admin-token";
};

cluster = {
  redis = {{ include "webwire.redisUrl" . | quote }};
  password-file = "/run/secrets/webwire/redis-password";
  prefix = {{ .Values.redis.prefix | quote }};
};

drain = {
  time = {{ int .Values.drain.time }};
  grace = {{ int .Values.drain.grace }};
};

log = {
  level = {{ .Values.log.level | quote }};
  format = {{ .Values.log.format | quote }};
};
{{- with .Values.extraConfig }}

{{ . | trim }}
{{- end }}
{{- end -}}

{{- define "webwire.redisConfig" -}}
dir /data
maxmemory {{ int .Values.redis.builtin.maxMemoryMb }}mb
maxmemory-policy noeviction
appendonly yes
appendfsync everysec
client-output-buffer-limit pubsub 64mb 32mb 60
timeout 0
tcp-keepalive 60
{{- end -}}
