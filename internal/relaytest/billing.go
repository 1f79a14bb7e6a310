package relaytest

import (
	"net/http"
	"strings"
)

// sessionOnly answers only to the key of a browser's session, as OpenAI does
// since 2023.
func sessionOnly(body func() object) func(*call) answer {
	return func(c *call) answer {
		if !strings.HasPrefix(c.key, "sess-") {
			return *invalidRequest(http.StatusForbidden, "Your request to %s %s must be made with a session key "+
				"(that is, it can only be made from the browser). You made it with the following key type: secret.",
				c.req.Method, c.req.URL.Path)
		}
		return jsonAnswer(200, body())
	}
}

// adminOnly answers only to an admin key.
func adminOnly(body func() object) func(*call) answer {
	return func(c *call) answer {
		if !strings.HasPrefix(c.key, "sk-admin-") {
			return *invalidRequest(http.StatusForbidden, "You have insufficient permissions for this operation. "+
				"Missing scopes: api.usage.read. Check that you have the correct role in your organization, "+
				"and if you're using a restricted API key, that it has the necessary scopes.")
		}
		return jsonAnswer(200, body())
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

func organizationCosts() object {
	return usagePage(object{
		"object":     "organization.costs.result",
		"amount":     object{"value": 5.5, "currency": "usd"},
		"line_item":  nil,
		"project_id": nil,
	})
}

func organizationUsage() object {
	return usagePage(object{
		"object":              "organization.usage.completions.result",
		"input_tokens":        1000,
		"output_tokens":       500,
		"input_cached_tokens": 0,
		"input_audio_tokens":  0,
		"output_audio_tokens": 0,
		"num_model_requests":  5,
	})
}

func usagePage(result object) object {
	return object{
		"object": "page",
		"data": []object{{
			"object":     "bucket",
			"start_time": created,
			"end_time":   created + 24*60*60,
			"results":    []object{result},
		}},
		"has_more":  false,
		"next_page": nil,
	}
}
