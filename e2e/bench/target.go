package main

import "fmt"

// target is a limit for one number of a row.
type target struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
	Least bool    `json:"at_least,omitempty"`
	Met   bool    `json:"met"`
}

func atMost(what string, value, limit float64) target {
	return target{What: what, Value: value, Limit: limit, Met: value <= limit}
}

func atLeast(what string, value, limit float64) target {
	return target{What: what, Value: value, Limit: limit, Least: true, Met: value >= limit}
}

func (t target) String() string {
	sign, verdict := "≤", "met"
	if t.Least {
		sign = "≥"
	}
	if !t.Met {
		verdict = "MISSED"
	}
	return fmt.Sprintf("%s %s %s: %s", sign, figure(t.Limit), t.What, verdict)
}

// What a GiB of large objects may cost, in processor seconds, on a machine whose floors
// sum to those below. On another one the limit moves with the sum of the floors.
const (
	putLimit, putFloors = 2.6, 2.59 // receive, SHA-256, MD5, AES-GCM, BLAKE3, O_DIRECT
	getLimit, getFloors = 0.7, 0.62 // send, AES-GCM, BLAKE3, page cache
	// pageCacheFloor is what reading from the page cache costs.
	pageCacheFloor = 0.04
	limitClients   = 4
	// peakLimit is for the memory of the server over all rows, in MiB.
	peakLimit = 250
)

// putSum is the least that a GiB of PUT can cost here.
func (f *floors) putSum() float64 {
	return min(f.put, 0.09) + f.sha256 + f.md5 + f.gcm + f.blake3 + f.direct
}

// getSum is the least that a GiB of GET can cost here.
func (f *floors) getSum() float64 { return min(f.get, 0.09) + f.gcm + f.blake3 + pageCacheFloor }

// judgeLarge adds the limits of processor time where a row has one.
func (f *floors) judgeLarge(r *row, put bool) {
	if r.CPUPerGiB == 0 {
		return
	}
	limit, here, there := getLimit, f.getSum(), getFloors
	if put {
		limit, here, there = putLimit, f.putSum(), putFloors
	}
	r.Targets = append(r.Targets, atMost("CPU-s/GiB", r.CPUPerGiB, limit*max(here/there, 1)))
	r.Note = fmt.Sprintf("floors sum to %.2f, reference %.2f", here, there)
}

// clusterWidth is how many bytes are kept for each byte of an object by 2+2.
const clusterWidth = 2

// clusterSum is the least that a GiB can cost with 2+2 on four nodes. What is kept crosses
// the network between peers: received, sealed and opened there, once more than in one process.
// Each node verifies the shard that it is sent and writes it; a reader verifies the half that it fetches.
func (f *floors) clusterSum(put bool) float64 {
	if put {
		return f.putSum() - f.direct - f.blake3 + clusterWidth*(min(f.put, 0.09)+2*f.gcm+2*f.blake3+f.direct)
	}
	return f.getSum() + min(f.get, 0.09) + 2*f.gcm
}

// tellCluster sets the sum of the floors beside a row of a cluster.
func (f *floors) tellCluster(r *row, put bool) {
	if r.CPUPerGiB == 0 {
		return
	}
	sum := f.clusterSum(put)
	r.Note = fmt.Sprintf("floors with 2+2 sum to %.2f: %.1f times as much", sum, per(r.CPUPerGiB, sum))
}
