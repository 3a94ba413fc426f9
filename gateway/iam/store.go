package iam

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"shoal/acl"
	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

// Config is what a Store is made of. A zero duration means its default.
type Config struct {
	// Credentials and Identities are required.
	Credentials api.Credentials
	Identities  api.Identities
	// Sessions opens tokens. Nil knows no sessions.
	Sessions api.Sessions
	// Uses hears which access keys were used. Nil is told nothing.
	Uses api.KeyUses
	// Settings hears the settings that may change while the store runs: when they are known, and when they have
	// changed. Run calls it, and waits for it. May be nil.
	Settings func([]api.Setting)
	// Every is how often it is asked what has changed. Default 250 ms.
	Every time.Duration
	// EveryIdle is the same while nobody has used the Store for some seconds. Default 500 ms: what changes is known within a second.
	EveryIdle time.Duration
	// Limit is for how long the copy is used after it was confirmed. Default 1 s.
	Limit time.Duration
	// Patience is for how long a request waits for a copy that is confirmed. Default 5 s.
	Patience time.Duration
	// Logger gets what goes wrong. Default: nothing is logged.
	Logger *slog.Logger
	// Now is the clock by which access keys end. Default time.Now.
	Now func() time.Time
}

const (
	everyDefault     = 250 * time.Millisecond
	everyIdleDefault = 500 * time.Millisecond
	limitDefault     = time.Second
	patienceDefault  = 5 * time.Second
	askTimeout       = 10 * time.Second // of a question, also of one for all
	// idleAfter is for how long a Store must not have been used to count as idle.
	idleAfter = 5 * time.Second
	// restMin keeps a clock that is being corrected from bringing two questions for one.
	restMin = 5 * time.Millisecond
)

// Store knows who may ask, and by which policies. It implements api.Credentials. Its methods may be called
// from any number of goroutines.
type Store struct {
	cfg      Config
	copy     atomic.Pointer[confirmed]
	sessions sessionCache
	tokens   tokenCache
	uses     keyUses
	used     atomic.Int64 // when it was asked who somebody is, in Unix nanoseconds
	wake     chan struct{}

	mu   sync.Mutex    // guards next
	next chan struct{} // closed when the next answer has come
}

// confirmed is a copy with the time at which it was true, or, in a site that is cut off, might be used.
type confirmed struct {
	*tables
	at time.Time
	// asOf is when the store last confirmed it; zero says at that time.
	asOf        time.Time
	settingsSum string // of the settings that Config.Settings has heard
}

// New makes a Store. It knows nothing before Run is called.
func New(cfg Config) *Store {
	for d, usual := range map[*time.Duration]time.Duration{&cfg.Every: everyDefault, &cfg.EveryIdle: everyIdleDefault, &cfg.Limit: limitDefault, &cfg.Patience: patienceDefault} {
		if *d == 0 {
			*d = usual
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Store{cfg: cfg, wake: make(chan struct{}, 1), next: make(chan struct{}), uses: keyUses{now: cfg.Now}}
	s.copy.Store(&confirmed{tables: newTables()})
	return s
}

// Run keeps the copy up to date, and tells of uses, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	var telling sync.WaitGroup
	defer telling.Wait()
	if s.cfg.Uses != nil {
		telling.Go(func() { s.tellUses(ctx) })
	}
	t := time.NewTimer(0)
	defer t.Stop()
	failing := false
	for ctx.Err() == nil {
		err := s.refresh(ctx)
		if failed := err != nil && ctx.Err() == nil; failed != failing {
			failing = failed
			if failed {
				s.cfg.Logger.Warn("users, policies and settings cannot be confirmed; requests of users wait", "err", err)
			} else {
				s.cfg.Logger.Info("users, policies and settings are confirmed again")
			}
		}
		t.Reset(s.rest(time.Now()))
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-s.wake:
		}
	}
	return nil
}

// rest is how long to wait for the next question. Questions come at multiples of their interval by the clock: those of
// many gateways are answered after one read barrier, and a process wakes once for them and for what else comes at such times.
func (s *Store) rest(now time.Time) time.Duration {
	every := s.cfg.Every
	if now.UnixNano()-s.used.Load() > int64(idleAfter) {
		every = max(every, s.cfg.EveryIdle)
	}
	rest := every - time.Duration(now.UnixNano())%every
	if rest < restMin {
		rest += every
	}
	return rest
}

// refresh asks once.
func (s *Store) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	have, at := s.copy.Load(), time.Now()
	changes, err := s.cfg.Identities.Identities(ctx, api.Known{Epoch: have.epoch, SettingsSum: have.settingsSum})
	if err != nil {
		return err
	}
	if changes.Settings != nil && s.cfg.Settings != nil {
		s.cfg.Settings(changes.Settings)
	}
	s.copy.Store(&confirmed{tables: have.apply(changes), at: at, asOf: changes.AsOf, settingsSum: changes.SettingsSum})
	s.mu.Lock()
	close(s.next)
	s.next = make(chan struct{})
	s.mu.Unlock()
	return nil
}

// Age is how long ago the copy was confirmed.
func (s *Store) Age() time.Duration {
	switch c := s.copy.Load(); {
	case !c.asOf.IsZero():
		return time.Since(c.asOf)
	case !c.at.IsZero():
		return time.Since(c.at)
	}
	return 0
}

// await gives a copy that was confirmed at a time or later, for which the request waits if it must.
func (s *Store) await(ctx context.Context, after time.Time) (*tables, error) {
	if c := s.copy.Load(); !c.at.Before(after) {
		return c.tables, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	for {
		s.mu.Lock()
		next := s.next
		s.mu.Unlock()
		if c := s.copy.Load(); !c.at.Before(after) {
			return c.tables, nil
		}
		select {
		case s.wake <- struct{}{}:
		default:
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, unconfirmed("iam.await", ctx.Err())
		}
	}
}

// Credential implements api.Credentials: one that has ended is none. While that of a user is not confirmed within
// Config.Limit it counts for nothing, as all else that is known of users: the request waits, and gets Unavailable then,
// unless the site is cut off and Identities goes on with what was known.
func (s *Store) Credential(ctx context.Context, accessKeyID string) (api.Credential, error) {
	asked := time.Now()
	s.used.Store(asked.UnixNano())
	c, err := s.cfg.Credentials.Credential(ctx, accessKeyID)
	if err == nil && s.outdated(&c, asked) {
		c, err = s.confirm(ctx, accessKeyID)
	}
	if err == nil && !c.Expires.IsZero() && !s.cfg.Now().Before(c.Expires) {
		return api.Credential{}, &api.Error{Kind: api.NoSuchCredential, Op: "iam.Credential"}
	}
	return c, err
}

// outdated says whether a user's credential may have been revoked more than Config.Limit before it was asked for. In a site that is cut
// off, and as long as users are known there, it is as old as the store's own bound allows.
func (s *Store) outdated(c *api.Credential, asked time.Time) bool {
	limit := asked.Add(-s.cfg.Limit)
	if have := s.copy.Load(); !have.asOf.IsZero() && !have.at.Before(limit) {
		return false
	}
	return c.Principal != api.RootPrincipal && !c.AsOf.IsZero() && c.AsOf.Before(limit)
}

// confirm waits for a credential that is confirmed.
func (s *Store) confirm(ctx context.Context, accessKeyID string) (api.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	for {
		asked := time.Now()
		if _, err := s.await(ctx, asked); err != nil {
			return api.Credential{}, err
		}
		c, err := s.cfg.Credentials.Credential(ctx, accessKeyID)
		switch {
		case ctx.Err() != nil:
			return api.Credential{}, unconfirmed("iam.Credential", ctx.Err())
		case err != nil || !s.outdated(&c, asked):
			return c, err
		}
		t := time.NewTimer(s.cfg.Every)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

func unconfirmed(op string, err error) error {
	return &api.Error{Kind: api.Unavailable, Op: op, Detail: "It cannot be confirmed who may do what. Please try again.", Err: err}
}

// Caller is who asks, with the policies that speak of it. The zero value is a stranger.
type Caller struct {
	acl.Principal
	Identity []acl.Policy
	Sessions []acl.Policy
	// Session is set when it asks by a session.
	Session *api.Session
}

// Rules are the caller's own. BucketRules.Apply adds those of a bucket.
func (c *Caller) Rules() acl.Rules { return acl.Rules{Identity: c.Identity, Sessions: c.Sessions} }

// Root is the store's owner.
func Root() Caller {
	return Caller{Principal: acl.Principal{Kind: acl.Root, ID: api.RootPrincipal, Account: api.Account}}
}

// What refusals rest on that no policy decides, as metrics name it beside acl.Reasons.
const (
	DeniedPrincipal = "principal" // who has signed is disabled or gone
	DeniedRootOnly  = "root_only" // it is for root alone
	DeniedOther     = "other"     // a lock, the policy of a form, an owner that is another than was expected, …
)

// DenialOf says what a refusal rests on that no policy has decided.
func DenialOf(err error) string {
	if errors.Is(err, ErrPrincipal) {
		return DeniedPrincipal
	}
	return DeniedOther
}

// ErrPrincipal is the cause of an AccessDenied: who has signed is disabled, or is not there any more.
var ErrPrincipal = errors.New("the principal is disabled or gone")

// Caller finds out who has signed a request. AccessDenied with ErrPrincipal when nobody may.
func (s *Store) Caller(ctx context.Context, auth *sigv4.Auth) (Caller, error) {
	of, session := auth.AccessKeyID, auth.Session
	if session != nil {
		of = session.Parent
	}
	if s.cfg.Uses != nil {
		s.uses.note(of)
	}
	caller, err := s.principal(ctx, auth.Principal)
	if err != nil {
		return caller, err
	}
	if auth.SessionPolicy != "" {
		caller.Sessions = append(caller.Sessions, s.sessions.get(of, auth.SessionPolicy))
	}
	if session != nil {
		err = s.narrow(ctx, &caller, session)
	}
	return caller, err
}

// narrow adds the policies of a session.
func (s *Store) narrow(ctx context.Context, caller *Caller, session *api.Session) error {
	caller.Session = session
	if session.Policy != "" {
		caller.Sessions = append(caller.Sessions, s.sessions.get(session.AccessKeyID, session.Policy))
	}
	if session.Role == "" {
		return nil
	}
	t, err := s.await(ctx, time.Now().Add(-s.cfg.Limit))
	if err == nil {
		caller.Sessions = append(caller.Sessions, t.policy(session.Role))
	}
	return err
}

// HasPolicy says whether there is a policy of a name.
func (s *Store) HasPolicy(ctx context.Context, name string) (bool, error) {
	t, err := s.await(ctx, time.Now())
	return err == nil && t.policies[name] != nil, err
}

// User is a user who has proven to be that without an access key. AccessDenied when there is none of the name, or it is
// disabled.
func (s *Store) User(ctx context.Context, name string) (Caller, error) {
	return s.principal(ctx, api.UserPrincipal+name)
}

func (s *Store) principal(ctx context.Context, id string) (Caller, error) {
	if id == api.RootPrincipal {
		return Root(), nil
	}
	name, ok := cutUser(id)
	if !ok {
		return Caller{}, s3err.New(s3err.AccessDenied).Wrap(ErrPrincipal)
	}
	now := time.Now()
	s.used.Store(now.UnixNano())
	t, err := s.fresh(ctx)
	if err != nil {
		return Caller{}, err
	}
	if t.users[name] == nil { // it may be new
		if t, err = s.await(ctx, now); err != nil {
			return Caller{}, err
		}
	}
	u := t.users[name]
	if u == nil || u.Disabled {
		return Caller{}, s3err.New(s3err.AccessDenied).Wrap(ErrPrincipal)
	}
	return Caller{Principal: acl.Principal{Kind: acl.User, ID: id, Name: name, Account: api.Account}, Identity: u.rules}, nil
}
