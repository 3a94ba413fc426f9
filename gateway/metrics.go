package gateway

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway/edge"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
)

// metrics counts requests of S3. Labels are operation names of the S3 model and HTTP
// statuses, so their number is bounded whatever clients send.
type metrics struct {
	*answered
	seconds  *prometheus.HistogramVec
	received prometheus.Counter
	sent     prometheus.Counter
	unproven *unproven

	mu       sync.RWMutex
	counters map[requestLabels]prometheus.Counter // guarded by mu
	timers   map[string]prometheus.Observer       // guarded by mu
}

type requestLabels struct {
	operation string
	status    int
}

func newMetrics(reg prometheus.Registerer, server *edge.Server, known *iam.Store, both *answered, failures *unproven) (*metrics, error) {
	m := &metrics{
		answered: both, unproven: failures,
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shoal_gateway_request_seconds", Help: "Time from a request's head to the end of its answer.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 60},
		}, []string{"operation"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shoal_gateway_received_bytes_total", Help: "Bytes of request bodies received, framing included.",
		}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shoal_gateway_sent_bytes_total", Help: "Bytes of answers' bodies sent.",
		}),
		counters: make(map[requestLabels]prometheus.Counter),
		timers:   make(map[string]prometheus.Observer),
	}
	all := []prometheus.Collector{m.seconds, m.received, m.sent,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shoal_gateway_in_flight_requests", Help: "S3 requests being served.",
		}, func() float64 { return float64(server.InFlight()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shoal_gateway_identity_age_seconds", Help: "Time since users, groups and policies were confirmed; 0 before they are.",
		}, func() float64 { return known.Age().Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shoal_gateway_open_connections", Help: "Connections to the S3 API.",
		}, func() float64 { return float64(server.Connections().Open) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "shoal_gateway_refused_connections_total", Help: "Connections closed at once since too many were open.",
		}, func() float64 { return float64(server.Connections().Refused) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "shoal_gateway_evicted_connections_total", Help: "Connections closed while they waited for a request, to make room for others.",
		}, func() float64 { return float64(server.Connections().Evicted) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "shoal_gateway_blocked_total", Help: "Connections closed and requests refused since their addresses are not served.",
		}, func() float64 { return float64(server.Connections().Blocked) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "shoal_gateway_unproven_connections_total", Help: "Connections of trusted proxies closed for want of a PROXY header that could be read.",
		}, func() float64 { return float64(server.Connections().Unproven) }),
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// deniedByIP is the reason of a denial by the rules for addresses; the others are those of acl, and of iam beside them.
const deniedByIP = "ip"

// observe counts one request.
func (m *metrics) observe(operation string, status int, took time.Duration, received, sent int64) {
	labels := requestLabels{operation, status}
	m.mu.RLock()
	counter, timer := m.counters[labels], m.timers[operation]
	m.mu.RUnlock()
	if counter == nil || timer == nil {
		counter = m.requests.WithLabelValues(operation, strconv.Itoa(status))
		timer = m.seconds.WithLabelValues(operation)
		m.mu.Lock()
		m.counters[labels], m.timers[operation] = counter, timer
		m.mu.Unlock()
	}
	counter.Inc()
	timer.Observe(took.Seconds())
	if received > 0 {
		m.received.Add(float64(received))
	}
	if sent > 0 {
		m.sent.Add(float64(sent))
	}
}

// answered counts the requests of both ports, and those that were denied.
type answered struct{ requests, denied *prometheus.CounterVec }

func newAnswered(reg prometheus.Registerer) (*answered, error) {
	a := &answered{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shoal_requests_total", Help: "Requests of S3 and management answered, by operation, or route of the management port, and status.",
		}, []string{"operation", "status"}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shoal_permission_denied_total", Help: "Requests of S3 and management of which at least a part was denied, by what the first denial rests on; signatures that prove nothing are not among them, and ip counts connections, too, of addresses that are not served.",
		}, []string{"reason"}),
	}
	return a, errors.Join(reg.Register(a.requests), reg.Register(a.denied))
}

// manage counts a request to the management port: denial is "" for one that was not denied.
func (a *answered) manage(operation string, status int, denial string) {
	a.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	if denial != "" {
		a.denied.WithLabelValues(denial).Inc()
	}
}

// unprovenReasons are the reasons why signatures prove nothing; every other code is "other".
var unprovenReasons = map[s3err.Code]string{
	s3err.SignatureDoesNotMatch:             "signature",
	s3err.InvalidAccessKeyId:                "unknown_key",
	s3err.RequestTimeTooSkewed:              "clock",
	s3err.AccessDenied:                      "expired_or_unsigned",
	s3err.ExpiredToken:                      "expired_token",
	s3err.InvalidToken:                      "token",
	s3err.AuthorizationHeaderMalformed:      "malformed",
	s3err.AuthorizationQueryParametersError: "malformed",
	s3err.InvalidArgument:                   "malformed",
	s3err.InvalidRequest:                    "malformed",
}

// unproven counts requests whose signatures prove nothing, to whichever port.
type unproven struct{ total *prometheus.CounterVec }

func newUnproven(reg prometheus.Registerer) (*unproven, error) {
	u := &unproven{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shoal_auth_failures_total", Help: "Requests of S3 and management whose signatures proved nothing, by what was wrong with them.",
	}, []string{"reason"})}
	return u, reg.Register(u.total)
}

// count counts a signature that proves nothing. What the store could not say, and what is told to come back, is no
// failure of a client.
func (u *unproven) count(e *s3err.Error) {
	reason, ok := unprovenReasons[e.Code]
	switch {
	case ok:
	case e.Status >= 500:
		return
	default:
		reason = "other"
	}
	u.total.WithLabelValues(reason).Inc()
}
