#!/usr/bin/env bash
# update.sh: make what is a copy anew: the PrometheusRule, from alerts.yaml.
set -euo pipefail
cd "$(dirname "$0")/../../deploy"
rule=kubernetes/components/monitoring/prometheusrule.yaml
{
  sed '/^spec:$/q' $rule
  sed -n '/^groups:/,$ { s/^\(.\)/  \1/; p }' prometheus/alerts.yaml
} >$rule.new
mv $rule.new $rule
