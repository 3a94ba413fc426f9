package transport

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/sec"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
)

const (
	// yamux sees a dead link after keepAlive + writeTimeout at the latest.
	keepAlive    = 10 * time.Second
	writeTimeout = 10 * time.Second
)

// newSwarm puts the libp2p host together from its parts: TCP, our handshake, yamux, the gater and
// our limits. What a closed cluster has no use for is not there at all: address detection, port
// mapping, ping, QUIC.
// Relays and the punching of holes come with Listen.
func newSwarm(h *Host) (*swarm.Swarm, *basichost.BasicHost, error) {
	ps, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, nil, err
	}
	if err := ps.AddPrivKey(h.id.pid, h.id.key); err != nil {
		return nil, nil, err
	}
	if err := ps.AddPubKey(h.id.pid, h.id.key.GetPublic()); err != nil {
		return nil, nil, err
	}
	rm, err := newResourceManager()
	if err != nil {
		return nil, nil, err
	}
	g := gater{h.trust, h.guard}
	bus := eventbus.NewBus()
	sw, err := swarm.NewSwarm(h.id.pid, ps, bus,
		swarm.WithConnectionGater(g),
		swarm.WithResourceManager(rm),
		swarm.WithDialTimeout(connectTimeout),
		swarm.WithDialTimeoutLocal(connectTimeout/2),
		swarm.WithDialRanker(swarm.NoDelayDialRanker),
		swarm.WithUDPBlackHoleSuccessCounter(nil),
		swarm.WithIPv6BlackHoleSuccessCounter(nil),
	)
	if err != nil {
		return nil, nil, err
	}
	mux := *yamux.DefaultTransport
	mux.MaxMessageSize = 256 << 10
	mux.InitialStreamWindowSize = 4 << 20
	mux.MaxStreamWindowSize = 16 << 20
	mux.KeepAliveInterval = keepAlive
	mux.ConnectionWriteTimeout = writeTimeout
	up, err := upgrader.New([]sec.SecureTransport{h.sec},
		[]upgrader.StreamMuxer{{ID: yamux.ID, Muxer: &mux}}, nil, rm, g,
		upgrader.WithAcceptTimeout(h.cfg.handshakeTimeout))
	if err != nil {
		return nil, nil, err
	}
	h.up = up
	// Without reuseport: with it, a second process would share the port instead of being refused.
	// An edge needs it: a NAT is punched from the port that is listened on.
	opts := []tcp.Option{tcp.DisableReuseport()}
	if h.cfg.RelayOnly {
		opts = nil
	}
	tpt, err := tcp.NewTCPTransport(guardedUpgrader{up, h.guard}, rm, nil, opts...)
	if err != nil {
		return nil, nil, err
	}
	if err := sw.AddTransport(tpt); err != nil {
		return nil, nil, err
	}
	bh, err := basichost.NewHost(sw, &basichost.HostOpts{
		EventBus:     bus,
		UserAgent:    "shoal/" + h.cfg.Release,
		AddrsFactory: h.announced,
	})
	if err != nil {
		sw.Close()
		return nil, nil, err
	}
	return sw, bh, nil
}

// closeSwarm closes what the basic host leaves open.
func closeSwarm(sw *swarm.Swarm) {
	sw.Close()
	sw.Peerstore().Close()
	sw.ResourceManager().Close()
}

// newResourceManager bounds what strangers can make us use, and is generous to members. libp2p's
// own defaults refuse the 65th stream of a protocol and the 9th connection from one address, which
// a cluster behind one NAT needs.
func newResourceManager() (network.ResourceManager, error) {
	limits := rcmgr.PartialLimitConfig{
		// Before the handshake ends; the guard bounds what comes in.
		Transient: rcmgr.ResourceLimits{Conns: 2 * handshakesMax, ConnsInbound: handshakesMax, FD: 2 * handshakesMax, Memory: 64 << 20},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: 32, ConnsInbound: 32, FD: 64, Streams: 4096, StreamsInbound: 4096,
		},
		System: rcmgr.ResourceLimits{Memory: 2 << 30, FD: 16384},
	}
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(limits.Build(rcmgr.InfiniteLimits)),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: 1024}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: 1024}}),
		// It counts connections, the members' too, and would let one address use up everybody's
		// share: the guard counts failures instead.
		rcmgr.WithConnRateLimiters(&rate.Limiter{}),
		rcmgr.WithMetricsDisabled(),
	)
}
