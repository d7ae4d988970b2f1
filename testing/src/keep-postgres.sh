# Runs a PostgreSQL server for as long as somebody uses it.
#
# Whoever uses it holds a shared lock on users.lock; the kernel lets go of it
# however they end. When nobody has held one for a while, the server is stopped
# and its data thrown away. Arguments: the server's binaries, the folder, the
# port, and the command that makes us a user PostgreSQL accepts, if any.
set -u
binaries=$1
folder=$2
port=$3
shift 3

"$@" "$binaries/postgres" -D "$folder/cluster" -p "$port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c max_connections=300 -c shared_buffers=128MB \
    >>"$folder/server.log" 2>&1 &
server=$!
echo "$server $port" >"$folder/address.new"
mv "$folder/address.new" "$folder/address"

exec 9>>"$folder/users.lock"
idle=0
while kill -0 "$server" 2>/dev/null; do
    sleep 1
    if ! flock -n -x 9; then
        idle=0
        continue
    fi
    idle=$((idle + 1))
    if [ "$idle" -ge 20 ]; then
        # Whoever comes now waits for the lock, and so for the end of this.
        kill -INT "$server"
        wait "$server"
        rm -rf "$folder/cluster" "$folder/address"
        exit
    fi
    flock -u 9
done
# The server died by itself. What it left is cleared by the next to start one.
