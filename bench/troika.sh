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
    [ "$1" != hold ] || echo 'hold = yes'
  } >"$ROOT/troika.conf"
  chmod 711 "$W" "$W/roots" 2>/dev/null || true
  chown -R nobody: "$ROOT"
}
troika_plain() { setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$@"; }
peer_start() { peer_conf "$1"; mkdir -p "$CG/log"; peer_launch; wait_port "$SMTPPORT" >/dev/null; }
peer_launch() { cg_run mta setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$ROOT/troika" serve -c "$ROOT/troika.conf" >"$RAM/start.out" 2>&1 & }
peer_stop() { cg_kill mta; }
peer_wipe() { rm -rf "$ROOT/state"; }
peer_count() { troika_plain "$ROOT/troika" queue -c "$ROOT/troika.conf" ls 2>/dev/null | wc -l; }
peer_mailq() { troika_plain "$ROOT/troika" queue -c "$ROOT/troika.conf" ls; }
