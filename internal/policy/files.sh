# $1 is what to do, $2 the path, $3 where that has to lead, "" for anywhere.
LC_ALL=C
export LC_ALL
umask 022
for x in readlink stat base64 sha256sum head tail wc; do
  command -v "$x" >/dev/null 2>&1 || { echo "$x" >&2; exit 45; }
done
p=$2
r=$(readlink -f "$p" 2>/dev/null)
if [ -z "$r" ] && [ ! -L "$p" ]; then
  d=$(readlink -f "${p%/*}/" 2>/dev/null)
  [ -n "$d" ] || exit 40
  r=${d%/}/${p##*/}
fi
[ -n "$r" ] || exit 40
if [ -n "$3" ]; then
  [ "$r" = "$3" ] && [ "$(readlink -f "$r")" = "$r" ] || exit 44
fi
isfile() {
  [ -d "$r" ] && exit 41
  [ -e "$r" ] || [ -n "$1" ] || exit 40
  [ ! -e "$r" ] || [ -f "$r" ] || exit 43
}
info() { stat -c '%s %a %u %g %Y' "$r"; }
# What is written is collected in a folder that nobody else may enter, and through no other path:
# whoever owns the folder around it could put a link in its place.
enter() {
  cd "$t" 2>/dev/null && [ "$(pwd -P)" = "$t" ] || exit 46
  me=$(id -u)
  case $(stat -c '%u %A' .) in
  "$me drwx------" | "$me drwx--S---") ;;
  *) exit 46 ;;
  esac
}
leave() {
  rm -f f
  cd / && rmdir "$t"
}
drop() { leave; exit "$1"; }
sum() {
  s=$(sha256sum)
  echo "${s%% *}"
}
m=$4 t=${r%/*}/.pve-mcp-$4
case $1 in
where) printf %s "$r" | base64 ;;
read)
  isfile
  [ -r "$r" ] || exit 48
  info || exit 1
  tail -c +"$4" "$r" | head -c "$5" | sum
  tail -c +"$4" "$r" | head -c "$5" | base64
  ;;
sum)
  isfile
  info && sum <"$r"
  ;;
list)
  [ -e "$r" ] || exit 40
  [ -d "$r" ] || exit 42
  cd "$r" || exit 1
  set -- ./* ./.[!.]* ./..?*
  echo "$#"
  stat -c "$m %f %u %g %U %G %s %Y %n" "$@" 2>/dev/null | base64
  ;;
begin)
  isfile new
  [ -d "${r%/*}/" ] || exit 40
  mkdir -m 700 "$t" || exit 1
  enter
  (umask 077 && : >f)
  ;;
put)
  enter
  [ "$(wc -c <f)" -eq "$5" ] || exit 46
  base64 -d >>f
  ;;
drop)
  enter
  leave
  ;;
end)
  isfile new
  enter
  [ "$(sum <f)" = "$5" ] || drop 46
  if [ "$6" = append ] && [ -e "$r" ]; then
    n=$(stat -c %s "$r") l=$(stat -c %s f)
    cat f >>"$r" || { truncate -s "$n" "$r"; drop 1; }
    leave
    [ "$(tail -c +"$((n + 1))" "$r" | head -c "$l" | sum)" = "$5" ] || exit 47
  elif [ -e "$r" ]; then
    chown "$(stat -c %u:%g "$r")" f && chmod "$(stat -c %a "$r")" f || drop 1
    command -v chcon >/dev/null 2>&1 && chcon --reference="$r" f 2>/dev/null
    mv -f f "$r" || drop 1
    leave
  else
    chmod 644 f && mv -f f "$r" || drop 1
    leave
  fi
  info && sum <"$r"
  ;;
*) exit 2 ;;
esac
