package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is everything that a run found out.
type report struct {
	Began      time.Time `json:"began"`
	Release    string    `json:"release"`
	Go         string    `json:"go"`
	Processors int       `json:"processors"`
	Seconds    float64   `json:"seconds"`
	Rows       []row     `json:"rows"`
}

// newReport is a report without rows. Release is what the program under test says of itself.
func newReport(release string) report {
	return report{Began: time.Now(), Release: release, Go: runtime.Version(), Processors: processors}
}

// disturbed is the share of the machine that others may take before a row is marked.
const disturbed = 0.1

// write prints the table.
func (r *report) write(w io.Writer) error {
	fmt.Fprintf(w, "\nshoal %s, %s, %d processors, %.0f s\n\n", r.Release, r.Go, r.Processors, r.Seconds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, strings.Join([]string{padded("what"), "clients", "op/s", "GiB/s", "p50 ms", "p99 ms",
		"CPU-s/GiB", "CPU-s/1000", "allocs/op", "peak MiB", "others %", "  target"}, "\t"))
	for i := range r.Rows {
		fmt.Fprintln(t, strings.Join(r.Rows[i].cells(), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nOthers: what neither client nor server took of the machine; * marks rows where that was more than %.0f %%.\n"+
		"Rows of 256 MiB: parts of 16 MiB, up to 16 clients on one object; an operation is a whole object.\n", disturbed*100)
	return err
}

// cells are the columns of a row. Names stand on the left of a right-aligned table.
func (r *row) cells() []string {
	name := r.Name
	if r.Others > disturbed {
		name += " *"
	}
	cells := []string{padded(name), count(r.Clients)}
	if r.Unit != "" && r.PerSecond == 0 {
		cells = append(cells, figure(r.Value), r.Unit)
	} else {
		cells = append(cells, figure(r.PerSecond), figure(r.GiBPerS))
	}
	return append(cells, figure(r.P50), figure(r.P99), figure(r.CPUPerGiB), figure(r.CPUPerKilo), figure(r.AllocsOp),
		figure(r.PeakMiB), figure(r.Others*100), "  "+r.remarks())
}

// remarks are the targets with their verdicts, and what else is to be said.
func (r *row) remarks() string {
	var parts []string
	for _, t := range r.Targets {
		parts = append(parts, t.String())
	}
	if r.Unit != "" && r.PerSecond != 0 {
		parts = append(parts, figure(r.Value)+" "+r.Unit)
	}
	if r.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d FAILED", r.Failed))
	}
	if r.Note != "" {
		parts = append(parts, r.Note)
	}
	return strings.Join(parts, "; ")
}

// padded fills up a name, which would stand on the right otherwise.
func padded(name string) string { return fmt.Sprintf("%-46s", name) }

func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// figure writes a number with two or three digits that mean something. Nothing stands for zero.
func figure(v float64) string {
	switch {
	case v == 0:
		return ""
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
}

// save writes the report as JSON.
func (r *report) save(name string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

// sizeName writes a number of bytes in the largest unit that fits.
func sizeName(bytes int64) string {
	switch {
	case bytes >= gib && bytes%gib == 0:
		return strconv.FormatInt(bytes/gib, 10) + "GiB"
	case bytes >= mib && bytes%mib == 0:
		return strconv.FormatInt(bytes/mib, 10) + "MiB"
	case bytes >= kib && bytes%kib == 0:
		return strconv.FormatInt(bytes/kib, 10) + "KiB"
	default:
		return strconv.FormatInt(bytes, 10) + "B"
	}
}

// parseSize reads what sizeName writes.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "BKMGib")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, known := map[string]int64{"": 1, "B": 1, "KiB": kib, "MiB": mib, "GiB": gib}[text[len(digits):]]
	if err != nil || !known || n <= 0 || n > (1<<40)/unit {
		return 0, fmt.Errorf("%q is not a size such as 64KiB", text)
	}
	return n * unit, nil
}
