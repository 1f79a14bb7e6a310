package fakeopenai

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sessionOnly responds only to the key of a browser's session, as OpenAI does
// since 2023.
func sessionOnly(body func() object) func(*call) response {
	return func(c *call) response {
		if !strings.HasPrefix(c.key, "sess-") {
			return *invalidRequest(http.StatusForbidden, "Your request to %s %s must be made with a session key "+
				"(that is, it can only be made from the browser). You made it with the following key type: secret.",
				c.req.Method, c.req.URL.Path)
		}
		return jsonResponse(200, body())
	}
}

// adminOnly responds only to an admin key, with a bucket of results for each day
// that the query asks for. The number of a day counts from the start.
func adminOnly(results func(query url.Values, day int) []object) func(*call) response {
	return func(c *call) response {
		if !strings.HasPrefix(c.key, "sk-admin-") {
			return *invalidRequest(http.StatusForbidden, "You have insufficient permissions for this operation. "+
				"Missing scopes: api.usage.read. Check that you have the correct role in your organization, "+
				"and if you're using a restricted API key, that it has the necessary scopes.")
		}
		return jsonResponse(200, usagePage(c.req.URL.Query(), results))
	}
}

func creditGrants() object {
	return object{
		"object":          "credit_summary",
		"total_granted":   18.0,
		"total_used":      5.5,
		"total_available": 12.5,
		"grants": object{"object": "list", "data": []object{{
			"object":       "credit_grant",
			"id":           "grant-fake",
			"grant_amount": 18.0,
			"used_amount":  5.5,
			"effective_at": created,
			"expires_at":   created + 365*24*60*60,
		}}},
	}
}

func subscription() object {
	return object{
		"object":                "billing_subscription",
		"has_payment_method":    true,
		"soft_limit_usd":        80.0,
		"hard_limit_usd":        100.0,
		"system_hard_limit_usd": 120.0,
		"access_until":          created + 365*24*60*60,
		"plan":                  object{"title": "Pay-as-you-go", "id": "payg"},
	}
}

func billingUsage() object {
	return object{
		"object":      "list",
		"total_usage": 550.0, // in cents
		"daily_costs": []object{{
			"timestamp":  created,
			"line_items": []object{{"name": "gpt-4o-mini", "cost": 550.0}},
		}},
	}
}

// organizationCosts has no results on two days of seven, as OpenAI has none on
// days without costs. They are by line item and project where the query says so
// (group_by): three quarters are for the first of each.
func organizationCosts(query url.Values, day int) []object {
	if day%7 >= 5 {
		return []object{}
	}
	total := float64(day*37%11) + 0.5
	result := func(share float64, item, project any) object {
		groups := query["group_by"]
		if !slices.Contains(groups, "line_item") {
			item = nil
		}
		if !slices.Contains(groups, "project_id") {
			project = nil
		}
		return object{
			"object":     "organization.costs.result",
			"amount":     object{"value": total * share, "currency": "usd"},
			"line_item":  item,
			"project_id": project,
		}
	}
	if !query.Has("group_by") {
		return []object{result(1, nil, nil)}
	}
	return []object{
		result(0.5, "gpt-5-mini, output", "proj_fake1"), result(0.25, "gpt-5-mini, input", "proj_fake1"),
		result(0.25, "gpt-4o-mini, input", "proj_fake2"),
	}
}

// listProjects names the first of the projects that have costs.
func listProjects(c *call) response {
	return jsonResponse(200, object{"object": "list", "has_more": false, "data": []object{{
		"object": "organization.project", "id": "proj_fake1", "name": "Chat for customers", "status": "active",
	}}})
}

// organizationUsage has the same results every day.
func organizationUsage(kind string, fields object) func(*call) response {
	fields["object"] = "organization.usage." + kind + ".result"
	return adminOnly(func(url.Values, int) []object { return []object{fields} })
}

const day = 24 * 60 * 60 // seconds

// fakePageSize is the most buckets on a page, few enough that a month has more
// than one.
const fakePageSize = 20

// usagePage returns the page of daily buckets that a query asks for: limit of
// them, or 7, from start_time on, up to now. The cursor is the number of a day.
func usagePage(query url.Values, results func(query url.Values, day int) []object) object {
	number := func(name string, otherwise int64) int64 {
		if n, err := strconv.ParseInt(query.Get(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	start, first := number("start_time", created), number("page", 0)
	limit := min(number("limit", 7), fakePageSize)
	page := object{"object": "page", "has_more": false, "next_page": nil}
	data := []object{}
	for i := first; start+i*day <= time.Now().Unix(); i++ {
		if i == first+limit {
			page["has_more"], page["next_page"] = true, strconv.FormatInt(i, 10)
			break
		}
		data = append(data, object{
			"object":     "bucket",
			"start_time": start + i*day,
			"end_time":   start + (i+1)*day,
			"results":    results(query, int(i)),
		})
	}
	page["data"] = data
	return page
}
