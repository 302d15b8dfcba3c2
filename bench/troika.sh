# Troika as a peer of the bench harness (shared/bench): see its README. MODE: relay | hold
# Runs as nobody, jail closed, every sync on. TROIKA: the folder with build/troika.
SPOOL=$ROOT/state/spool
SLOW=0; N_SCALE=1
peer_conf() {
  mkdir -p "$ROOT/state"
  cp -rfp "$TROIKA/build/troika" "$TROIKA/build/libexec" "$ROOT/"
  {
    echo 'hostname = "mx.bench.test"'
    echo "state = \"$ROOT/state\""
    echo "listen smtp { address = { \"127.0.0.1:$SMTPPORT\" } }"
    echo 'relay-for = { "127.0.0.0/8" }'
    echo 'domain "local.test" { accounts = yes }'
    echo "route \"dead.test\" { via = \"$DEADHOST:$DEADPORT\" }"
    echo "smarthost \"127.0.0.1:$SINKPORT\" { }"
    echo 'log-level = "warning"'
    echo 'recipients = 100000'
    [ -n "${TLS_PEM:-}" ] || echo 'connections = 10000'
    [ "$1" != hold ] || echo 'hold = yes'
    [ -z "${TLS_PEM:-}" ] || troika_tls
  } >"$ROOT/troika.conf"
  chmod 711 "$W" "$W/roots" 2>/dev/null || true
  chown -R nobody: "$ROOT"
  troika_accounts
}
troika_tls() {
  cp "$TLS_PEM" "$ROOT/bench.pem"
  echo "tls { certificate = \"$ROOT/bench.pem\" key = \"$ROOT/bench.pem\" }"
  echo "listen tls { address = { \"127.0.0.1:$TLS_PORT\" } tls = implicit }"
  echo 'connections-per-address = 20000'
  echo 'connections = 20000'
}
troika_plain() { setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$@"; }
# u0..u99@local.test; the harness looks for their mail in $ROOT/home/uN/Maildir
troika_accounts() {
  local n
  [ ! -e "$ROOT/state/bench-accounts" ] || return 0
  for n in $(seq 0 99); do
    troika_plain "$ROOT/troika" user -c "$ROOT/troika.conf" add "u$n@local.test" </dev/null >/dev/null
    mkdir -p "$ROOT/home/u$n"
    ln -sfn "$ROOT/state/mail/local.test/u$n" "$ROOT/home/u$n/Maildir"
  done
  touch "$ROOT/state/bench-accounts"
}
peer_start() { peer_conf "$1"; mkdir -p "$CG/log"; peer_launch; wait_port "$SMTPPORT" >/dev/null; }
peer_launch() { cg_run mta setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$ROOT/troika" serve -c "$ROOT/troika.conf" >"$RAM/start.out" 2>&1 & }
peer_stop() { cg_kill mta; }
peer_wipe() { rm -rf "$ROOT/state"; }
peer_count() { troika_plain "$ROOT/troika" queue -c "$ROOT/troika.conf" ls 2>/dev/null | wc -l; }
peer_mailq() { troika_plain "$ROOT/troika" queue -c "$ROOT/troika.conf" ls; }
