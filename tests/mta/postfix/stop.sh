# Waits until the test says "remove" or "keep", or is gone (end of input); then ends the private instance of Postfix
# in the directory $1 by its own process id, and removes the directory.
read -r word || word=remove
master=$(tr -d ' ' <"$1/queue/pid/master.pid")
postfix -c "$1/etc" stop >"$1/stopped" 2>&1
if [ -n "$master" ]; then
    for second in 1 2 3 4 5 6 7 8 9 10; do
        kill -0 "$master" || break
        sleep 1
    done
    case $(tr '\0' ' ' <"/proc/$master/cmdline") in */master*) kill -9 "$master" ;; esac
fi
[ "$word" = keep ] || rm -rf "$1" || { sleep 1; rm -rf "$1"; }
