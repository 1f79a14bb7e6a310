package failover

import (
	"testing"
	"testing/synctest"
	"time"
)

// What is allowed depends on the requests of the last ten seconds, and on the retries
// for the same reason.
func TestBudget(t *testing.T) {
	const floor = budgetFloor * budgetSpan
	for name, test := range map[string]struct {
		requests int
		pause    time.Duration // after them
		used     int           // retries for the other reason
		want     int           // retries that are allowed
	}{
		"no traffic":                  {0, 0, 0, floor},
		"few requests":                {4, 0, 0, floor},
		"many":                        {1000, 0, 0, floor + 200},
		"in the last second but one":  {1000, 8 * time.Second, 0, floor + 200},
		"ten seconds ago":             {1000, 10 * time.Second, 0, floor},
		"a minute ago":                {1000, time.Minute, 0, floor},
		"the other reason is used up": {1000, 0, floor + 200, floor + 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b budget
				for range test.requests {
					b.request()
				}
				time.Sleep(test.pause)
				for range test.used {
					if !b.retry(provoked) {
						t.Fatal("the other reason is used up early")
					}
				}
				allowed := 0
				for b.retry(failing) {
					allowed++
				}
				if allowed != test.want {
					t.Errorf("%d retries, want %d", allowed, test.want)
				}
				time.Sleep(budgetSpan * time.Second)
				for allowed = 0; b.retry(failing); allowed++ {
				}
				if allowed != floor {
					t.Errorf("%d retries later, want %d", allowed, floor)
				}
			})
		})
	}
}

// A clock that is set back starts the budget anew.
func TestBudgetWhenTheClockIsSetBack(t *testing.T) {
	b := budget{second: time.Now().Unix() + 3600}
	b.requests[0] = 1000
	allowed := 0
	for b.retry(failing) {
		allowed++
	}
	if want := budgetFloor * budgetSpan; allowed != want {
		t.Errorf("%d retries, want %d", allowed, want)
	}
}
