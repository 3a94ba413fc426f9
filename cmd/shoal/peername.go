package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"shoal/node/api"
)

const (
	// shortPeerLen is how much of a peer ID tables show: its end, since all begin alike.
	shortPeerLen = 8
	// peerNameMin is how much of a peer ID an operator must give.
	peerNameMin = 6
)

func shortPeer(id string) string { return id[max(0, len(id)-shortPeerLen):] }

func shortPeers(ids []string) string {
	short := make([]string, len(ids))
	for i, id := range ids {
		short[i] = shortPeer(id)
	}
	return strings.Join(short, ",")
}

// members gives the members, and the client that was asked.
func (a *adminCommand) members(ctx context.Context) (*adminClient, []api.Member, error) {
	client, err := a.connect()
	if err != nil {
		return nil, nil, err
	}
	members, err := fetch[[]api.Member](ctx, client, http.MethodGet, membersPath, nil)
	return client, members, err
}

// findMember gives the member that a peer ID, its beginning or its end names, and the client that
// was asked.
func (a *adminCommand) findMember(ctx context.Context, name string) (*adminClient, *api.Member, error) {
	client, members, err := a.members(ctx)
	if err != nil {
		return nil, nil, err
	}
	m, err := matchMember(members, name)
	return client, m, err
}

func matchMember(members []api.Member, name string) (*api.Member, error) {
	var found []*api.Member
	for i := range members {
		m := &members[i]
		if m.PeerID == name {
			return m, nil
		}
		if strings.HasPrefix(m.PeerID, name) || strings.HasSuffix(m.PeerID, name) {
			found = append(found, m)
		}
	}
	switch {
	case len(name) < peerNameMin:
		return nil, &usageError{fmt.Sprintf("%q is too short for a peer ID: give at least %d characters of its beginning or end", name, peerNameMin)}
	case len(found) == 0:
		return nil, fmt.Errorf("no member's peer ID begins or ends with %q: see shoal admin members", name)
	case len(found) > 1:
		return nil, fmt.Errorf("%d members' peer IDs begin or end with %q: give more of it", len(found), name)
	}
	return found[0], nil
}
