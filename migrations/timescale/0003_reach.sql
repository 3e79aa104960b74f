-- Whether a name is within reach: one that rules allow, within the scopes of the token, and none that rules deny. `reach` has names, and an
-- expression for others, in `allowed` (all, where it is missing), `scoped` (likewise) and `denied`; null for no limit at all.
create function weir_reaches(name text, reach jsonb) returns boolean language sql immutable parallel safe as $$
    select reach is null or (
        (not reach ? 'allowed' or reach -> 'allowed' -> 'these' ? name or coalesce(name ~ (reach -> 'allowed' ->> 'fitting'), false))
        and (not reach ? 'scoped' or reach -> 'scoped' -> 'these' ? name or coalesce(name ~ (reach -> 'scoped' ->> 'fitting'), false))
        and not (reach -> 'denied' -> 'these' ? name or coalesce(name ~ (reach -> 'denied' ->> 'fitting'), false)))
$$;
