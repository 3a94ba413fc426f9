package iam

import (
	"context"
	"crypto/subtle"
	"strings"
	"sync"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// Session finds the secret of a session by its token. What the token holds never changes and is kept; that the
// session has not ended, and that the access key it was asked for with is in force, is looked at each time.
// ExpiredToken; InvalidToken, also when the access key is gone.
func (s *Store) Session(ctx context.Context, accessKeyID, token string) (api.Credential, error) {
	if s.cfg.Sessions == nil {
		return api.Credential{}, s3err.New(s3err.InvalidToken)
	}
	session := s.tokens.get(accessKeyID, token)
	if session == nil {
		opened, err := s.cfg.Sessions.OpenSession(ctx, token)
		if err != nil {
			return api.Credential{}, invalidToken(err)
		}
		if opened.AccessKeyID != accessKeyID || opened.Secret == "" {
			return api.Credential{}, s3err.New(s3err.InvalidToken)
		}
		session = &opened
		s.tokens.put(token, session)
	}
	if !s.cfg.Now().Before(session.Expires) {
		return api.Credential{}, s3err.New(s3err.ExpiredToken)
	}
	parent, err := s.Credential(ctx, session.Parent)
	if err != nil {
		return api.Credential{}, invalidToken(err)
	}
	if parent.Principal != session.Principal || session.ParentMark != "" && session.ParentMark != api.MarkOf(parent.Secret) {
		return api.Credential{}, s3err.New(s3err.InvalidToken)
	}
	return api.Credential{
		AccessKeyID: session.AccessKeyID, Secret: session.Secret, Principal: session.Principal, Expires: session.Expires,
		SessionPolicy: parent.SessionPolicy, Session: session,
	}, nil
}

func invalidToken(err error) error {
	if api.KindOf(err) == api.NoSuchCredential {
		return s3err.New(s3err.InvalidToken).Wrap(err)
	}
	return err
}

// tokenCache keeps sessions by their access key IDs, each with the token that proved it. sessionsMax bounds it.
type tokenCache struct {
	mu   sync.RWMutex // guards byID
	byID map[string]provenSession
}

type provenSession struct {
	token   string
	session *api.Session
}

// get gives nil unless the session is known by this very token.
func (k *tokenCache) get(accessKeyID, token string) *api.Session {
	k.mu.RLock()
	defer k.mu.RUnlock()
	hit, ok := k.byID[accessKeyID]
	if !ok || subtle.ConstantTimeCompare([]byte(hit.token), []byte(token)) != 1 {
		return nil
	}
	return hit.session
}

func (k *tokenCache) put(token string, session *api.Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byID == nil || len(k.byID) >= sessionsMax {
		k.byID = make(map[string]provenSession)
	}
	k.byID[session.AccessKeyID] = provenSession{strings.Clone(token), session}
}
