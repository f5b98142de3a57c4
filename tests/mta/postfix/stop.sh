# Waits until the test says "remove" or "keep", or is gone (end of input); then ends the private instance of Postfix
# in the directory $1 by its own process id, and removes the directory.
read -r word || word=remove
master=$(tr -d ' ' <"$1/queue/pid/master.pid")
postfix -c "$1/etc" stop >"$1/stopped" 2>&1
if [ -n "$master" ]; then
    # A process that ended but was not collected by its parent has no program any more.
    tenths=100
    while readlink "/proc/$master/exe" && [ "$tenths" -gt 0 ]; do
        tenths=$((tenths - 1))
        sleep 0.1
    done
    case $(readlink "/proc/$master/exe") in */master) kill -9 "$master" ;; esac
fi
[ "$word" = keep ] || rm -rf "$1" || { sleep 1; rm -rf "$1"; }
