package proc

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "4711 (a) name (b) S 42 4711 4711 0 -1 4194560 1503 0 0 0 25 17 0 0 20 0 9 0 123456 1269342208 " +
		"2048 18446744073709551615 1 1 0 0"
	got, err := parseStat(line)
	if want := (stat{4711, 42, 420 * time.Millisecond}); got != want || err != nil {
		t.Errorf("parseStat() = %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "1 name S 1", "1 (a) S 1 2 3", "1 )a( S 1",
		"x (a) S 42 4711 4711 0 -1 4194560 1503 0 0 0 25 17 0 0 20 0 9 0 123456 1269342208 2048 1"} {
		if s, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", bad, s)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc here")
	}
	u, err := UsageOf(os.Getpid())
	if err != nil || u.RSS < 1<<20 {
		t.Errorf("UsageOf(self) = %+v, %v, want some memory", u, err)
	}
}
