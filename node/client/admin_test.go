package client

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"shoal/node/api"
	"shoal/node/peer"
	"shoal/p2p"
)

// asked is a node that answers an operator's questions and nothing else.
type asked struct {
	peer.Node
	answer string
	by     map[string]string // answers by question, instead
	err    error
	hangs  bool
	count  int
}

func (a *asked) Admin(ctx context.Context, what string, _ []byte) ([]byte, error) {
	a.count++
	if a.by != nil && a.by[what] == "" {
		return nil, &api.Error{Kind: api.NotImplemented}
	}
	if a.by != nil {
		return []byte(a.by[what]), nil
	}
	if a.hangs {
		<-ctx.Done()
		return nil, &api.Error{Kind: api.Canceled, Err: ctx.Err()}
	}
	return []byte(a.answer), a.err
}

// few is a directory of nodes "a", "b", "c".
type few []*asked

func (f few) Nodes() []p2p.NodeID { return []p2p.NodeID{"a", "b", "c"}[:len(f)] }

func (f few) Node(id p2p.NodeID) peer.Node {
	if i := slices.Index(f.Nodes(), id); i >= 0 {
		return f[i]
	}
	return nil
}

func fails(kind api.Kind) *asked { return &asked{err: &api.Error{Kind: kind}} }

func TestAskInTurn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first *asked
		ask   bool // the second is asked after the first
		act   bool
	}{
		{"answers", &asked{answer: "8"}, false, false},
		{"away", fails(api.Unavailable), true, true},
		{"older release", fails(api.NotImplemented), true, true},
		{"may have done it", fails(api.OutcomeUnknown), true, false},
		{"refuses", fails(api.InvalidArgument), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, mode := range []struct {
				run  func(context.Context, *Client, string, any) (int, error)
				next bool
			}{{ask[int], tt.ask}, {act[int], tt.act}} {
				second := &asked{answer: "9"}
				v, err := mode.run(t.Context(), &Client{dir: few{tt.first, second}}, "x", nil)
				if (second.count == 1) != mode.next || mode.next && (v != 9 || err != nil) || !mode.next && !errors.Is(err, tt.first.err) {
					t.Errorf("the second was asked %d times: %d, %v", second.count, v, err)
				}
			}
		})
	}
	if _, err := ask[int](t.Context(), &Client{dir: few{}}, "x", nil); api.KindOf(err) != api.Unavailable {
		t.Errorf("no node: %v", err)
	}
}

// A node that hangs holds up neither a question to one nor one to all.
func TestAskPastOneThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{dir: few{{hangs: true}, {answer: "9"}, fails(api.Internal)}}
		if v, err := ask[int](t.Context(), c, "x", nil); v != 9 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		got, err := askAll[int](t.Context(), c, "x", nil)
		if err != nil || len(got) != 3 || got[1].value != 9 || !slices.Equal(silent(got), []string{"a", "c"}) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestAskAllFails(t *testing.T) {
	c := &Client{dir: few{fails(api.Unavailable), fails(api.Unavailable)}}
	if _, err := askAll[int](t.Context(), c, "x", nil); api.KindOf(err) != api.Unavailable {
		t.Errorf("%v", err)
	}
	if _, err := askAll[int](t.Context(), &Client{dir: few{{answer: "<"}}}, "x", nil); err == nil {
		t.Error("an answer that is no JSON passes")
	}
	if _, err := askAll[int](t.Context(), &Client{dir: few{}}, "x", nil); api.KindOf(err) != api.Unavailable {
		t.Errorf("no node: %v", err)
	}
}

// What is out of range is refused before any node is asked.
func TestSetSettingChecks(t *testing.T) {
	n := &asked{answer: "{}"}
	c := &Client{dir: few{n}}
	if err := c.SetSetting(t.Context(), api.SettingChange{Name: api.SettingVoters, Value: "4"}); api.KindOf(err) != api.InvalidArgument || n.count != 0 {
		t.Errorf("%v, asked %d times", err, n.count)
	}
	if err := c.SetSetting(t.Context(), api.SettingChange{Name: api.SettingVoters, Value: "3"}); err != nil || n.count != 1 {
		t.Errorf("%v, asked %d times", err, n.count)
	}
}

func TestSettingsOfANode(t *testing.T) {
	text, err := json.Marshal(map[string]string{"voters": "5"})
	if err != nil {
		t.Fatal(err)
	}
	list, err := (&Client{dir: few{{answer: string(text)}}}).Settings(t.Context())
	if err != nil || !slices.ContainsFunc(list, func(s api.Setting) bool { return s.Name == "voters" && s.Value == "5" }) {
		t.Errorf("%+v, %v", list, err)
	}
}
