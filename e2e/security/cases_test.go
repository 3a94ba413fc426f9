package security

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cases are the ways in which stores like this one were broken, by their numbers. Every attack of this suite begins with the
// number of its case; elsewhere are tests that show the rest, as "directory.Test".
var cases = []attackCase{
	{"A1", "headers, keys and parameters that nobody signed", nil},
	{"A2", "streamed bodies with a wrong secret", nil},
	{"A3", "streamed bodies that were changed, cut or are longer than said", []string{"gateway/sigv4.FuzzChunks"}},
	{"A4", "signatures of another time, place, service or session", []string{"e2e.TestSessions", "node.TestOpenSession"}},
	{"A5", "keys that look like paths", []string{"e2e.TestListing"}},
	{"A6", "keys of a document, and copy sources, that lead elsewhere", nil},
	{"A8", "forms that do more than their policy says", nil},
	{"A9", "documents that are too large, too deep, or not what they seem", []string{"acl/policy.TestBounded"}},
	{"A10", "slow, idle and endless connections; HTTP that is not quite HTTP", []string{"e2e.TestFlood", "gateway/edge.TestSlowHead", "gateway/edge.TestBodyDrips", "gateway/edge.TestConnectionLimit", "p2p/transport.TestSlowHandshakes"}},
	{"A11", "headers that look like what a policy asks for", []string{"gateway/edge.TestOrigin", "e2e.TestProxy"}},
	{"A12", "policies that cannot be evaluated", []string{"acl/policy.TestRefused", "gateway/iam.TestTruth"}},
	{"A15", "management and other people's data without rights", []string{"e2e.TestRights", "gateway/admin.TestActionsAndRoutes"}},
	{"A16", "sessions by tokens of identity providers", nil},
	{"A17", "names and passwords of directories", []string{"e2e.TestAddressRules", "gateway/edge.TestShareFailures"}},
	{"A18", "locked versions, whoever wants to be rid of them", []string{"e2e/faults.TestLockedWhileAClockIsWrong", "node/meta.TestNothingSuspendsALock", "node/meta.TestUnknownModeProtects", "node/repair.TestExpireLocked"}},
	{"A19", "encryption that is asked for", []string{"node.TestContentSurvivesRestart"}},
	{"A21", "targets that are addresses inside", nil},
	{"A22", "secrets in what the store writes", []string{"gateway/sigv4.TestErrorsHoldNoSecret", "p2p/member.TestSecretsStayOut"}},
	{"A23", "credentials that everybody knows", []string{"e2e.TestFirstStart"}},
	{"A24", "strangers, and members that want more than their role", []string{"p2p/transport.TestStrangersRefused", "p2p/transport.TestForbiddenMethods", "p2p/transport.TestReplayedJoin", "p2p/transport.TestProofIsBound", "p2p/member.TestEveryBitCounts"}},
	{"A26", "one key for several purposes", []string{"node/keyring.TestSecretsAreBoundToTheirKeyID", "node/keyring.TestKEKs", "node.TestSessionTokenGolden"}},
	{"A28", "malformed and huge messages of peers", []string{"p2p/wire.TestFrameRefused", "node/peer.FuzzServe", "node/consensus.FuzzFrame", "node/meta.FuzzApply", "p2p/transport.TestBadFrames", "p2p/transport.TestAnnouncedBodies"}},
	{"A29", "floods of connections and streams", []string{"p2p/transport.TestSilentFlood", "p2p/transport.TestGuardForgets", "p2p/transport.TestIgnoredCredit"}},
	{"A30", "made-up peers and lies in the DHT", []string{"p2p/discovery.TestOnlyMembersInTable", "p2p/discovery.TestLyingDHT"}},
	{"A31", "a storage peer that lies or forgets", []string{"e2e.TestDamage", "node/repair.TestHeal", "e2e/faults.TestLoss", "node/client.TestHedgesAreBounded", "node/client.TestLateTwiceIsSlow"}},
	{"A32", "what was revoked, and what is old", []string{"p2p/member.TestTableEpochs", "p2p/member.TestTrustRevocation", "p2p/transport.TestRevocationCuts", "p2p/transport.TestHelloSpreadsRevocations", "e2e/faults.TestSiteCutOff"}},
	{"A34", "relays and members of other clusters", []string{"p2p/transport.TestRelayForMembersOnly"}},
	{"A35", "asking whether somebody else has stored something", nil},
	{"A37", "data and programs of another release", []string{"node/shardstore.TestBlockRejects", "node/consensus.TestGolden"}},
}

// attackCase is one of them.
type attackCase struct {
	number, what string
	elsewhere    []string
}

// TestCases checks that every case has an attack here or a test elsewhere, that those tests are there, and that no attack
// names a case that is not in the list.
func TestCases(t *testing.T) {
	here := map[string]int{}
	for _, name := range names() {
		number, _, _ := strings.Cut(name, " ")
		here[number]++
	}
	for i, c := range cases {
		if slices.ContainsFunc(cases[:i], func(o attackCase) bool { return o.number == c.number }) {
			t.Errorf("%s is listed twice", c.number)
		}
		if here[c.number] == 0 && len(c.elsewhere) == 0 {
			t.Errorf("%s (%s) has no test", c.number, c.what)
		}
		for _, test := range c.elsewhere {
			if dir, name, _ := strings.Cut(test, "."); !hasTest(t, dir, name) {
				t.Errorf("%s: there is no test %s", c.number, test)
			}
		}
		delete(here, c.number)
	}
	for number := range here {
		t.Errorf("attacks name the case %s, which is not in the list", number)
	}
}

// hasTest tells whether a directory has a test of that name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name {
				return true
			}
		}
	}
	return false
}
