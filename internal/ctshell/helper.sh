# $1 marks what belongs to the conversation, $2 is the parent of this shell's parent, $3 how
# many seconds all may take.
m=$1 d= k= p= t= w= u=$(umask)
umask 077
say() { printf '\n%s %s\n' "$m" "$*"; }
kill9() { for n in 1 2; do kill -9 -"$1"; kill -9 "$1"; done 2>/dev/null; }
stop() { [ -s "$d/p" ] && kill9 "$(cat "$d/p")"; }
leave() {
  trap '' INT TERM HUP
  stop
  [ -n "$p" ] && kill9 "$p"
  [ -n "$w" ] && kill9 "$w"
  [ -n "$d" ] && rm -rf "$d"
  [ -n "$k" ] && rm -rf "$k"
  exit 0
}
parent() { r=; read -r r 2>/dev/null <"/proc/$1/stat"; set -- ${r##*) }; pp=$2 sid=$4; }
trap 't=1; stop' INT
trap leave TERM HUP
for x in setsid sha256sum base64 head tail mkdir rm mv sleep wc; do
  command -v "$x" >/dev/null 2>&1 || { say lacks "$x"; leave; }
done
parent "$2"
l=/run/pve-mcp-console
[ -w /run ] || l=/tmp/pve-mcp-console
if ! mkdir "$l" 2>/dev/null; then
  q=; read -r q 2>/dev/null <"$l/pid"
  if [ -n "$q" ] && ! kill -0 "$q" 2>/dev/null && mv "$l" "$l.$m" 2>/dev/null; then rm -rf "$l.$m"; fi
  mkdir "$l" 2>/dev/null || { say busy "$l"; leave; }
fi
k=$l
echo "$$" >"$k/pid"
d=/var/tmp/pve-mcp-$m
[ -w /var/tmp ] || d=/tmp/pve-mcp-$m
mkdir "$d" || { d=; say lacks "a folder for files"; leave; }
: >"$d/i"
setsid sh -c 'sleep "$1"; kill -TERM "$2"' sh "$3" "$$" >/dev/null 2>&1 </dev/null &
w=$!
run() {
  t=
  set -m
  sh -c 'umask "$2"; (exec setsid sh "$1/s" <"$1/i" >"$1/o" 2>"$1/e"); echo $? >"$1/c"' sh "$d" "$u" >/dev/null 2>"$d/j" </dev/null &
  p=$!
  set +m
  until wait "$p"; ! kill -0 "$p" 2>/dev/null; do :; done
  p= q= c= b=0
  read -r q 2>/dev/null <"$d/p"
  read -r c 2>/dev/null <"$d/c"
  if [ -n "$q" ] && kill -0 -"$q" 2>/dev/null; then b=1; kill9 "$q"; fi
  say exit "${c:--}" "$b" "${t:-0}" $(wc -c <"$d/j") $(wc -c <"$d/o") $(wc -c <"$d/e")
}
say hello "$2" "${pp:--}" "${sid:--}" "$(uname -n)"
while :; do
  l=
  read -r l || { [ -n "$t" ] && t= && continue; break; }
  case $l in *"$m "*) ;; *) continue ;; esac
  set -f
  set -- ${l#*"$m "}
  case $1 in
  n) : >"$d/$2" && say ok || say no ;;
  w) printf %s "$3" | base64 -d >>"$d/$2" && say ok || say no ;;
  x) run ;;
  sum)
    set -- $(sha256sum <"$d/$2")
    say sum "$1"
    ;;
  g)
    tail -c +"$3" "$d/$2" | head -c "$4" >"$d/g"
    set -- $(sha256sum <"$d/g")
    say data "$1"
    base64 <"$d/g"
    say end
    ;;
  keep) mv "$d/$2" "${d%/*}/$3" && say ok "${d%/*}/$3" || say no ;;
  q) break ;;
  esac
done
leave
