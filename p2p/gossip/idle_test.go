package gossip

import (
	"context"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/p2p/discovery"
)

// BenchmarkIdle measures what hosts with DHT and gossip use while nothing happens. It takes as many
// seconds as SHOAL_IDLE_SECONDS says, and does nothing without it.
func BenchmarkIdle(b *testing.B) {
	seconds, _ := strconv.Atoi(os.Getenv("SHOAL_IDLE_SECONDS"))
	if seconds == 0 {
		b.Skip("SHOAL_IDLE_SECONDS is not set")
	}
	for _, n := range []int{1, 3} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			nodes, _ := startNodes(b, n)
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			for _, nd := range nodes {
				d, err := discovery.New(discovery.Config{Host: nd.host.LibP2P(), Trust: nd.trust})
				if err != nil {
					b.Fatal(err)
				}
				wg.Go(func() { d.Run(ctx) })
			}
			<-time.After(3 * time.Second)
			before := cpuTime()
			<-time.After(time.Duration(seconds) * time.Second)
			used := cpuTime() - before
			b.ReportMetric(used.Seconds()/float64(seconds)/float64(n)*100, "%core/node")
			cancel()
			wg.Wait()
		})
	}
}

func cpuTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
