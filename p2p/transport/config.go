package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/p2p"
	"shoal/p2p/member"
)

// Resolver finds the present addresses of a peer that could not be reached at the known ones.
type Resolver interface {
	FindPeer(ctx context.Context, id p2p.NodeID) ([]string, error)
}

// Config is what a Host is made of.
type Config struct {
	Identity   *Identity     // required
	Trust      *member.Trust // required
	Credential []byte        // required; SetCredential renews it

	// Listen is the host:port of the control plane. Port 0 lets the system choose all three.
	Listen string
	// Bulk and Join are those of the other planes. Empty means the port after Listen's and the one
	// after that, or any free one if that is taken.
	Bulk string
	Join string

	// Announce lists multiaddrs to be told to peers instead of the ones listened on.
	Announce []string

	// Gate decides who of those with a good credential is served. Nil: all are.
	Gate Gate

	// RelayOnly makes this node an edge: one that peers cannot dial, behind a NAT or a firewall. It
	// keeps connections to up to three members that can be dialled and is reached through them;
	// where its NAT allows, connections become direct. It has no bulk and no join listener, and does
	// not relay; every other node does, for members only.
	RelayOnly bool
	// OnAddrs is told the addresses of an edge whenever they have changed, to be passed on by gossip
	// or the member table. It must not block. May be nil.
	OnAddrs func(addrs []string)

	// Admit decides who may join. Nil: there is no join listener.
	Admit AdmitFunc
	// Resolver is asked when a peer cannot be dialled. May be nil, and may be set by SetResolver.
	Resolver Resolver
	// Epochs are told to each peer in the hello. May be nil.
	Epochs func() p2p.Epochs
	// OnHello is told what each peer said. It must not block. May be nil.
	OnHello func(from p2p.Peer, epochs p2p.Epochs, addrs []string)

	// Release is the software release, for the peers' logs; at most 64 bytes.
	Release string
	// ReceiveMax bounds the bytes of large requests held at once; default 256 MiB, at least 16 MiB.
	ReceiveMax int64

	handshakeTimeout time.Duration // default 10 s; shorter in tests

	Log        *slog.Logger          // default: discards
	Registerer prometheus.Registerer // default: no metrics
}

const receiveMaxDefault = 256 << 20

// Validate reports every problem at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Identity == nil {
		errs = append(errs, errors.New("no identity"))
	}
	if c.Trust == nil {
		errs = append(errs, errors.New("no trust"))
	}
	for _, a := range []string{c.Listen, c.Bulk, c.Join} {
		if _, _, err := splitAddr(a); a != "" && err != nil {
			errs = append(errs, err)
		}
	}
	if c.Listen == "" {
		errs = append(errs, errors.New("no address to listen on"))
	}
	for _, a := range c.Announce {
		if _, err := ma.NewMultiaddr(a); err != nil {
			errs = append(errs, fmt.Errorf("announce %q: %w", a, err))
		}
	}
	if c.ReceiveMax != 0 && c.ReceiveMax < 2*p2p.PayloadSizeMax {
		errs = append(errs, fmt.Errorf("receive bound of %d bytes is below %d", c.ReceiveMax, 2*p2p.PayloadSizeMax))
	}
	if len(c.Release) > 64 {
		errs = append(errs, errors.New("release name is longer than 64 bytes"))
	}
	return errors.Join(errs...)
}
