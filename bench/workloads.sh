# bench/workloads.sh - one function a workload; sourced by bench/run after the harness's lib.sh.
# Every figure goes through rec: one CSV line "workload,peer,variant,value" in $OUT.

# at_least SECONDS FUNCTION START: calls FUNCTION with a number of messages, first with START, then
# with as many as should take SECONDS; prints the second rate. FUNCTION prints messages a second.
at_least() {
    local guess
    guess=$("$2" "$3")
    "$2" "$(calc "${guess:-0}*$1*1.1+$3" 0)"
}

# source OPTIONS... : smtp-source to $SMTPPORT; prints nothing, says why it failed
source_mail() {
    timeout 300 bash -c ". $B/lib.sh; SMTPPORT=$SMTPPORT; SRC $*" >"$RAM/src.out" 2>&1 ||
        { echo "bench: smtp-source $*: $(tail -1 "$RAM/src.out")" >&2; return 1; }
}

# timed MESSAGES OPTIONS...: messages a second
timed() {
    local n=$1 t0; shift
    t0=$(now)
    source_mail "$@" -m "$n" || { echo 0; return; }
    calc "$n/($(now)-$t0)"
}

reused_rate() { timed "$1" -d -s "${SESSIONS:-100}" -l 4096 -t rcpt@dst.test; }
single_rate() { timed "$1" -s "${SESSIONS:-100}" -l 4096 -t rcpt@dst.test; }

# W1: messages accepted durably a second, nothing delivered; connections reused, and one a message
w1() { # PEER
    peer_load "$1"
    fresh
    peer_start hold
    reused_rate 1000 >/dev/null
    rec w1 reused "$(at_least "$SECONDS_MIN" reused_rate 3000)"
    rec w1 single "$(at_least "$SECONDS_MIN" single_rate 2000)"
    fresh
}

# The load tools alone: smtp-source straight into smtp-sink. What no server can exceed.
ceiling() {
    local PEER=ceiling SMTPPORT=$SINKPORT
    sync
    sink_start
    rec w1 reused "$(at_least "$SECONDS_MIN" reused_rate 5000)"
    rec w1 single "$(at_least "$SECONDS_MIN" single_rate 3000)"
    sink_stop
}

# relayed MESSAGES BYTES SESSIONS: through the server into the sink; sets $e2e, $accept and $cpu
# (CPU seconds of the server and its syslogd for 1,000 messages)
relayed() {
    local n=$1 bytes=$2 sessions=$3 t0 t1 t2 c0
    source_mail -s 50 -m 100 -l 4096 -t rcpt@dst.test
    sent=$((sent + 100))
    sink_wait "$sent" 60 >/dev/null
    sleep 1 # the server is at rest again: its CPU time is counted from here
    c0=$(($(cg_cpu mta) + $(cg_cpu log))) t0=$(now)
    source_mail -d -s "$sessions" -m "$n" -l "$bytes" -t rcpt@dst.test || { e2e=0 accept=0 cpu=0; return; }
    t1=$(now) sent=$((sent + n))
    t2=$(sink_wait "$sent" 60) || { e2e="STALL: $t2 of $sent" accept=0 cpu=0; return; }
    sleep 1.5
    e2e=$(calc "$n/($t2-$t0)") accept=$(calc "$n/($t1-$t0)")
    cpu=$(calc "($(cg_cpu mta)+$(cg_cpu log)-$c0)/1e9/$n*1000" 3)
}

# What large messages can reach, measured right before they are relayed.
ceiling_large() {
    local PEER=ceiling SMTPPORT=$SINKPORT
    sync
    sink_start
    rec w2-100k e2e "$(timed 3000 -d -s 100 -l 102400 -t rcpt@dst.test)"
    rec w2-5m e2e "$(timed 100 -d -s 25 -l 5242880 -t rcpt@dst.test)"
    sink_stop
}

# W2 and W7: relayed end to end
w2() { # PEER [4k|100k|5m]...
    local variant e2e accept cpu sent=0
    peer_load "$1"; shift
    fresh
    sink_start
    peer_start relay
    for variant in ${*:-4k 100k 5m}; do
        case $variant in
            4k) relayed "$(calc "20000*$SCALE" 0)" 4096 100 ;;
            100k) relayed "$(calc "4000*$SCALE" 0)" 102400 100 ;;
            5m) relayed "$(calc "300*$SCALE" 0)" 5242880 25 ;;
        esac
        rec "w2-$variant" e2e "$e2e"
        rec "w2-$variant" accept "$accept"
        rec "w2-$variant" cpu "$cpu"
    done
    fresh
}

# W3: into the Maildirs of 100 accounts, files and directories synced
w3() { # PEER
    local counted
    peer_load "$1"
    counted=$(OUT=/dev/null QSCALE=2 bash "$B/w3_local.sh" "$1")
    rec w3 e2e "$(sed -n 's/^w3,[^,]*,e2e,//p' <<<"$counted")"
    rec w3 cpu "$(sed -n 's/^w3,[^,]*,cpu_s_per_1000,//p' <<<"$counted")"
}

# W4: memory of all processes with 5,000 sessions idle after EHLO
w4() { # PEER [SESSIONS]
    local n=${2:-5000} counted
    counted=$(OUT=/dev/null bash "$B/w4_idle.sh" "$1" "$n")
    PEER=$1
    rec "w4-$n" pss_mib "$(sed -n "s/^w4,[^,]*,idle${n}_pss_mb,//p" <<<"$counted")"
    rec "w4-$n" living "$(sed -n "s/^w4,[^,]*,idle$n,//p" <<<"$counted" | tr ',' ' ')"
}

# W5: from the final dot to the 250, 200 messages a second, delivery going on
w5() { # PEER
    local key
    peer_load "$1"
    fresh
    sink_start
    peer_start relay
    LOAD send -s 10 -m 200 -d >/dev/null
    LOAD send -s 10 -m "$(calc "5000*$SCALE" 0)" -r 200 -d >"$RAM/lat.out" 2>&1
    for key in p50_ms p99_ms max_ms; do
        rec w5 "$key" "$(grep -o "$key=[0-9.]*" "$RAM/lat.out" | cut -d= -f2)"
    done
    fresh
}

# W6: MESSAGES wait for a dead destination; what do others notice?
w6() { # PEER MESSAGES
    local n=$2 t0 turn
    peer_load "$1"
    fresh
    peer_start relay
    LOAD send -s 100 -m "$n" -d -t rcpt@dead.test >"$RAM/load.out" 2>&1
    rec "w6-$n" fill "$(grep -o 'rate=[0-9.]*' "$RAM/load.out" | cut -d= -f2)"
    for turn in 1 2 3; do
        t0=$(now)
        peer_mailq >"$RAM/mailq.out" 2>&1
        rec "w6-$n" list_rows_per_s "$(calc "$(wc -l <"$RAM/mailq.out")/($(now)-$t0)" 0)"
    done
    rec "w6-$n" listed "$(wc -l <"$RAM/mailq.out")"
    rec "w6-$n" pss_mib "$(cg_pss_mb mta | cut -d' ' -f1)"
    peer_stop
    cold_start "w6-$n"
    rec "w6-$n" delay_ms "$(python3 bench/delay.py "$SMTPPORT" "$SINKPORT" 100)"
    peer_stop
    w6_turns "w6-$n"
    rec "w6-$n" pss_after_mib "$(cg_pss_mb mta | cut -d' ' -f1)"
    rm -f "$RAM/mailq.out"
    fresh
}

# Seconds from the launch to the first 220, with nothing of the server in the caches.
cold_start() { # NAME
    local t0 waiter
    rm -f "$RAM/first.out" # that of an earlier start says "waiting", too
    python3 bench/first_220.py "$SMTPPORT" >"$RAM/first.out" &
    waiter=$!
    until [ -s "$RAM/first.out" ]; do sleep 0.01; done
    sync
    echo 3 >/proc/sys/vm/drop_caches
    t0=$(now)
    peer_launch
    wait "$waiter" || return # there was none
    rec "$1" start_s "$(calc "$(tail -1 "$RAM/first.out")-$t0" 2)"
}

# W1 three times without and with the backlog, by turns: no machine is the same for minutes on end.
w6_turns() { # NAME
    local turn
    for turn in 1 2 3; do
        mv "$ROOT/state" "$ROOT/backlog"
        mkdir "$ROOT/state"
        touch "$ROOT/state/bench-accounts" # none are needed
        w6_turn "$1" w1_empty
        peer_stop
        rm -rf "$ROOT/state"
        mv "$ROOT/backlog" "$ROOT/state"
        w6_turn "$1" w1_reused
        [ "$turn" = 3 ] || peer_stop
    done
}

w6_turn() { # NAME VARIANT
    sync
    peer_conf hold
    peer_launch
    wait_port "$SMTPPORT" 300 >/dev/null
    reused_rate 1000 >/dev/null
    rec "$1" "$2" "$(at_least "$SECONDS_MIN" reused_rate 3000)"
}

# Every fsync and fdatasync of the server takes 8 ms more, for Troika and Postfix alike. Postfix's
# master hands its environment on only by import_environment.
slow_disk() {
    local shim=$PWD/build/bench/slow_sync.so peer
    cc -O2 -shared -fPIC -o "$shim" bench/slow_sync.c -ldl
    for peer in troika postfix; do
        say "slow disk, $peer"
        slow_peer "$peer" "$shim"
        for SESSIONS in 100 500; do
            fresh
            peer_start hold
            reused_rate 1000 >/dev/null
            rec "slow-w1-$SESSIONS" reused "$(at_least "$SECONDS_MIN" reused_rate 2000)"
        done
        unset SESSIONS
        (rec() { echo "slow-$1,$PEER,$2,$3" | tee -a "$OUT"; }; peer_load() { slow_peer "$1" "$shim"; }; w2 "$peer" 4k; w5 "$peer")
    done
}

# slow_peer PEER SHIM: peer_load, with the shim in every one of its processes
slow_peer() {
    local shim=$2
    PEER=$1 ROOT=$W/roots/$1
    . "$B/peers/$1.sh"
    case $1 in
        troika)
            eval "fast_$(declare -f peer_conf)"
            peer_conf() { fast_peer_conf "$1"; cp "$shim" "$ROOT/slow_sync.so"; }
            peer_launch() { cg_run mta env LD_PRELOAD="$ROOT/slow_sync.so" setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$ROOT/troika" serve -c "$ROOT/troika.conf" >"$RAM/start.out" 2>&1 & }
            ;;
        postfix)
            cp "$shim" "$ROOT/slow_sync.so"
            peer_launch() {
                ch postconf -e 'import_environment=LD_PRELOAD=/slow_sync.so MAIL_CONFIG TZ LANG=C'
                cg_run mta chroot "$ROOT" env LD_PRELOAD=/slow_sync.so postfix start >"$RAM/start.out" 2>&1
                ch postconf -X import_environment
            }
            ;;
    esac
}

# What one more costs: sessions, recipients of a message, destinations, backlog. A curve that rises is
# worse than linear.
# With so many sessions, and what the load itself can do with them: smtp-source straight into smtp-sink.
growth_sessions() { # SESSIONS
    local warm=$(($1 > 1000 ? $1 : 1000))
    sync
    sink_start
    (PEER=ceiling SMTPPORT=$SINKPORT; rec growth-sessions "$1" "$(at_least "$SECONDS_MIN" reused_rate "$warm")")
    sink_stop
    fresh
    peer_start hold
    rec growth-sessions "$1" "$(at_least "$SECONDS_MIN" reused_rate "$warm")"
}

growth() {
    local n
    peer_load troika
    for n in 1 10 100 1000 4000; do
        SESSIONS=$n
        growth_sessions "$n"
    done
    unset SESSIONS
    fresh
    peer_start hold
    for n in 1 10 100 1000 10000 100000; do
        rec growth-recipients-us "$n" "$(python3 bench/growth.py "$SMTPPORT" recipients "$n")"
    done
    for n in 100 1000 10000; do
        rec growth-destinations-us "$n" "$(python3 bench/growth.py "$SMTPPORT" destinations "$n")"
    done
    fresh
    cc -O2 -std=gnu17 -D_GNU_SOURCE -Isrc -o build/bench/spool_bench bench/spool_bench.c \
        build/release/src/libtroika_{spool,mail,io,base}.a -lsqlite3 -levent_core -lseccomp -lpthread
    for n in 0 100000 1000000 10000000; do
        rm -rf "$W/spool_bench"
        mkdir "$W/spool_bench"
        build/bench/spool_bench "$W/spool_bench" "$n" 100000 >"$RAM/spool.out"
        rec growth-backlog-open-ms "$n" "$(sed -n 's/^opened in \(.*\) ms/\1/p' "$RAM/spool.out" | tail -1)"
        rec growth-backlog-lifecycle-us "$n" "$(sed -n 's/.* of [0-9]*: \([0-9.]*\) us.*/\1/p' "$RAM/spool.out")"
        rec growth-backlog-peak-kib "$n" "$(sed -n 's/^peak memory \([0-9]*\) KiB/\1/p' "$RAM/spool.out")"
    done
    rm -rf "$W/spool_bench"
}

# A certificate for the servers that are measured with TLS: bench.pem holds key and certificate.
bench_certificate() {
    [ -e "$RAM/bench.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=mx.bench.test \
        -keyout "$RAM/bench.key" -out "$RAM/bench.crt" 2>/dev/null
    cat "$RAM/bench.key" "$RAM/bench.crt" >"$RAM/bench.pem"
    chmod 644 "$RAM/bench.pem"
}

# TLS: handshakes a second (all, and those that go on with a session), the CPU seconds of the server
# and of the load for 1,000 of them, W1 over reused TLS connections, and the memory of 10,000 idle
# sessions. TLS_PORT is Troika's implicit listener.
tls() { # PEER: troika or postfix
    local TLS_PEM=$RAM/bench.pem TLS_PORT=$((SMTPPORT + 40)) mode
    export TLS_PEM TLS_PORT
    bench_certificate
    peer_load "$1"
    fresh
    peer_start hold
    [ "$1" != postfix ] || postfix_with_tls
    cc -O2 -std=gnu17 -D_GNU_SOURCE -o build/bench/tls_load bench/tls_load.c bench/handshake.c -lssl -lcrypto
    for mode in new again mail; do
        tls_rate "$mode"
    done
    [ "$1" != troika ] || rec tls idle-10000-mib "$(python3 bench/tls_idle.py "$TLS_PORT" "$(calc "10000*$SCALE" 0)" "$(pgrep -f "parent -c $ROOT/troika.conf" | head -1)")"
    fresh
}

# tls_rate MODE: runs the load, and records what it and the server took
tls_rate() {
    local mode=$1 c0 rate count seconds
    c0=$(cg_cpu mta)
    read -r rate count seconds <<<"$(build/bench/tls_load "$mode" "$SMTPPORT" "$SECONDS_MIN" 100)"
    rec tls "$mode" "$rate"
    rec tls "$mode-cpu" "$(calc "($(cg_cpu mta)-$c0)/1e9/${count:-0}*1000" 3)"
    rec tls "$mode-load-cpu" "$(calc "${seconds:-0}/${count:-0}*1000" 3)"
}

# The harness starts Postfix without TLS; its certificate is set while it runs.
postfix_with_tls() {
    cp "$TLS_PEM" "$ROOT/etc/postfix/bench.pem"
    chroot "$ROOT" postconf -e smtpd_tls_chain_files=/etc/postfix/bench.pem smtpd_tls_security_level=may
    chroot "$ROOT" postfix reload >/dev/null 2>&1
    sleep 1
}
