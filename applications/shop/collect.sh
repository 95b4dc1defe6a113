# An order comes in every few seconds.
trap exit TERM
while :; do
    echo "an order at $(date)" >>/data/orders.txt
    sleep "$INTERVAL" &
    wait
done
