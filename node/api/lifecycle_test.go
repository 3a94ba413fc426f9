package api

import (
	"reflect"
	"testing"
	"time"
)

func size(n int64) *int64 { return &n }

// "S3 calculates the time by adding the number of days specified in the rule to the object creation
// time and rounding up the resulting time to the next day at midnight UTC. For example, if an object
// was created on 1/15/2014 at 10:30 AM UTC and you specify 3 days in a transition rule, then the
// transition date of the object would be calculated as 1/19/2014 00:00 UTC."
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html)
func TestDaysLater(t *testing.T) {
	for _, c := range []struct {
		from string
		days int
		want string
	}{
		{"2014-01-15T10:30:00Z", 3, "2014-01-19T00:00:00Z"},
		{"2014-01-15T00:00:00Z", 1, "2014-01-17T00:00:00Z"},
		{"2014-01-15T23:59:59Z", 1, "2014-01-17T00:00:00Z"},
		{"2014-01-15T23:30:00-02:00", 1, "2014-01-18T00:00:00Z"},
		{"2016-02-28T12:00:00Z", 1, "2016-03-01T00:00:00Z"},
		{"2014-12-31T12:00:00Z", 365, "2016-01-01T00:00:00Z"},
	} {
		from, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := DaysLater(from, c.days).Format(time.RFC3339); got != c.want {
			t.Errorf("%s and %d days: %s, want %s", c.from, c.days, got, c.want)
		}
	}
}

func TestExpiration(t *testing.T) {
	made := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	tags := []Tag{{"a", "1"}, {"b", "2"}}
	o := &Subject{Key: "logs/x", Size: 100, Tags: tags, Modified: made}
	for name, c := range map[string]struct {
		rules []LifecycleRule
		want  string // ID of the rule
	}{
		"none":               {nil, ""},
		"all":                {[]LifecycleRule{{ID: "1", ExpireDays: 1}}, "1"},
		"disabled":           {[]LifecycleRule{{ID: "1", ExpireDays: 1, Disabled: true}}, ""},
		"prefix":             {[]LifecycleRule{{ID: "1", Prefix: "logs/", ExpireDays: 1}}, "1"},
		"other prefix":       {[]LifecycleRule{{ID: "1", Prefix: "log/", ExpireDays: 1}}, ""},
		"above":              {[]LifecycleRule{{ID: "1", Above: size(99), ExpireDays: 1}}, "1"},
		"not above":          {[]LifecycleRule{{ID: "1", Above: size(100), ExpireDays: 1}}, ""},
		"below":              {[]LifecycleRule{{ID: "1", Below: size(101), ExpireDays: 1}}, "1"},
		"not below":          {[]LifecycleRule{{ID: "1", Below: size(100), ExpireDays: 1}}, ""},
		"a tag":              {[]LifecycleRule{{ID: "1", Tags: tags[1:], ExpireDays: 1}}, "1"},
		"both tags":          {[]LifecycleRule{{ID: "1", Tags: tags, ExpireDays: 1}}, "1"},
		"another value":      {[]LifecycleRule{{ID: "1", Tags: []Tag{{"a", "2"}}, ExpireDays: 1}}, ""},
		"a tag too many":     {[]LifecycleRule{{ID: "1", Tags: []Tag{{"a", "1"}, {"c", "3"}}, ExpireDays: 1}}, ""},
		"the earlier":        {[]LifecycleRule{{ID: "1", ExpireDays: 3}, {ID: "2", ExpireDays: 2}}, "2"},
		"the first of equal": {[]LifecycleRule{{ID: "1", ExpireDays: 3}, {ID: "2", ExpireDays: 3}}, "1"},
		"date before days":   {[]LifecycleRule{{ID: "1", ExpireDays: 3}, {ID: "2", ExpireDate: made.Truncate(24 * time.Hour)}}, "2"},
		"days before date":   {[]LifecycleRule{{ID: "1", ExpireDays: 3}, {ID: "2", ExpireDate: made.AddDate(1, 0, 0)}}, "1"},
		"other actions":      {[]LifecycleRule{{ID: "1", NoncurrentDays: 1, AbortDays: 1, ExpireMarkers: true}}, ""},
	} {
		got := ""
		if r, _ := Expiration(c.rules, o); r != nil {
			got = r.ID
		}
		if got != c.want {
			t.Errorf("%s: rule %q, want %q", name, got, c.want)
		}
	}
}

func TestLifecycleDocument(t *testing.T) {
	rules := []LifecycleRule{
		{ID: "a", Form: FilterAnd, Prefix: "p", Tags: []Tag{{"k", "v"}}, Above: size(0), Below: size(9), ExpireDate: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)},
		{ID: "b", Disabled: true, ExpireMarkers: true, NoncurrentDays: 3, NoncurrentNewer: 4, AbortDays: 5},
	}
	doc, err := AppendLifecycle(nil, rules)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseLifecycle(doc); err != nil || !reflect.DeepEqual(again, rules) {
		t.Errorf("%s became %+v, %v", doc, again, err)
	}
	for _, bad := range []string{"", "{}", `{"Format":3,"Rules":[]}`, `{"Format":0,"Rules":[]}`, `{"Format":2,"Rules":[{"Transition":{"Class":"GLACIER"}}]}`, "[]", "x"} {
		if _, err := ParseLifecycle([]byte(bad)); KindOf(err) != Corrupt {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// FuzzLifecycleDocument reads anything; what is taken is the same after it was written again.
func FuzzLifecycleDocument(f *testing.F) {
	f.Add([]byte(`{"Format":1,"Rules":[{"ID":"a","Form":2,"Prefix":"p","ExpireDays":3}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		rules, err := ParseLifecycle(doc)
		if err != nil {
			return
		}
		once, err := AppendLifecycle(nil, rules)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseLifecycle(once)
		if err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if twice, err := AppendLifecycle(nil, again); err != nil || string(once) != string(twice) {
			t.Errorf("%s became %s, %v", once, twice, err)
		}
	})
}
