package placement

import "fmt"

// Spread returns how many of a group's shards Build puts in one site and on one node at most, without building the table. Its errors
// are those of Build.
func Spread(drives []Drive, width int) (site, node int, err error) {
	if width < 1 || width > WidthMax {
		return 0, 0, fmt.Errorf("%w: %d shards, want 1 to %d", ErrDrives, width, WidthMax)
	}
	if len(drives) < width {
		return 0, 0, fmt.Errorf("%w: %d drives for %d shards", ErrTooFewDrives, len(drives), width)
	}
	sorted, err := sortDrives(drives)
	if err != nil {
		return 0, 0, err
	}
	d := domainsOf(sorted)
	c := capsFor(&d, width)
	return c.site, c.node, nil
}
