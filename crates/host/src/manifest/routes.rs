//! Routes: exact segments, `:param`, and a trailing `/...`. The most specific one wins, as in Spin.

use super::Trigger;
use anyhow::{Result, anyhow};
use std::{cmp::Ordering, path::Path};

/// One parsed route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    text: String,
    segments: Vec<Segment>,
    wildcard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Exact(String),
    Param(String),
}

/// What a path matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Index of the trigger in the manifest.
    pub trigger: usize,
    /// What stood at the place of `/...`, with its slash; empty without a wildcard.
    pub path_info: String,
    /// `:param` names and what stood there.
    pub params: Vec<(String, String)>,
}

impl Route {
    /// Reads a route; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err("a route begins with /".into());
        };
        let (path, wildcard) = match path.strip_suffix("...") {
            Some("") => ("", true),
            Some(front) => (front.strip_suffix('/').ok_or("... must be a segment of its own")?, true),
            None => (path, false),
        };
        if path.contains("...") {
            return Err("... may only stand at the end".into());
        }
        let segments = split(path)
            .map(|segment| match segment.strip_prefix(':') {
                Some("") => Err("a :param needs a name".to_owned()),
                Some(name) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') => {
                    Ok(Segment::Param(name.to_owned()))
                }
                Some(name) => Err(format!("the name of :{name} may have letters, digits, - and _ only")),
                None => Ok(Segment::Exact(segment.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), segments, wildcard })
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As written, without `/...`.
    pub fn prefix(&self) -> &str {
        self.text.strip_suffix("/...").unwrap_or(&self.text)
    }

    fn matches(&self, path: &str) -> Option<(String, Vec<(String, String)>)> {
        let mut rest = path.trim_start_matches('/');
        let mut params = Vec::new();
        for segment in &self.segments {
            let (here, after) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Exact(text) if text == here => {}
                Segment::Param(name) if !here.is_empty() => params.push((name.clone(), here.to_owned())),
                _ => return None,
            }
            rest = after;
        }
        if self.wildcard {
            return Some((format!("/{rest}"), params));
        }
        rest.is_empty().then(|| (String::new(), params))
    }

    /// More specific first: segment by segment exact before param before wildcard.
    fn specificity(&self, other: &Self) -> Ordering {
        for pair in self.segments.iter().zip(&other.segments) {
            match pair {
                (Segment::Exact(_), Segment::Param(_)) => return Ordering::Less,
                (Segment::Param(_), Segment::Exact(_)) => return Ordering::Greater,
                _ => {}
            }
        }
        other.segments.len().cmp(&self.segments.len()).then(self.wildcard.cmp(&other.wildcard))
    }

    /// The same set of paths, whatever the params are called.
    fn same(&self, other: &Self) -> bool {
        self.wildcard == other.wildcard
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Exact(a), Segment::Exact(b)) => a == b,
                (Segment::Param(_), Segment::Param(_)) => true,
                _ => false,
            })
    }
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// All public routes, most specific first.
#[derive(Clone, Debug)]
pub struct Router {
    routes: Vec<(Route, usize)>,
}

impl Router {
    /// Sorts the routes; two that match the same paths are an error.
    pub fn new(file: &Path, triggers: &[Trigger]) -> Result<Self> {
        let mut routes: Vec<(Route, usize)> =
            triggers.iter().enumerate().filter_map(|(index, trigger)| Some((trigger.route.clone()?, index))).collect();
        routes.sort_by(|a, b| a.0.specificity(&b.0));
        for (position, (route, _)) in routes.iter().enumerate() {
            if let Some((twin, _)) = routes.iter().skip(position + 1).find(|(other, _)| other.same(route)) {
                return Err(anyhow!(
                    "{}: routes {:?} and {:?} match the same paths: remove one",
                    file.display(),
                    route.text(),
                    twin.text()
                ));
            }
        }
        Ok(Self { routes })
    }

    /// Finds the route of a path (without query).
    pub fn find(&self, path: &str) -> Option<Match> {
        self.routes.iter().find_map(|(route, trigger)| {
            let (path_info, params) = route.matches(path)?;
            Some(Match { trigger: *trigger, path_info, params })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Target;

    fn router(routes: &[&str]) -> Result<Router> {
        let triggers: Vec<Trigger> = routes
            .iter()
            .map(|text| Trigger { route: Some(Route::parse(text).unwrap()), target: Target::Component("c".into()) })
            .collect();
        Router::new(Path::new("spin.toml"), &triggers)
    }

    #[track_caller]
    fn check(routes: &[&str], path: &str, expected: Option<(&str, &str)>) {
        let found = router(routes).unwrap().find(path);
        let found = found.as_ref().map(|m| (routes[m.trigger], m.path_info.as_str()));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        let routes = ["/...", "/:any/b", "/a/...", "/a/b", "/a/b/..."];
        check(&routes, "/", Some(("/...", "/")));
        check(&routes, "/x", Some(("/...", "/x")));
        check(&routes, "/x/b", Some(("/:any/b", "")));
        check(&routes, "/a", Some(("/a/...", "/")));
        check(&routes, "/a/c/d", Some(("/a/...", "/c/d")));
        check(&routes, "/a/b", Some(("/a/b", "")));
        check(&routes, "/a/b/c", Some(("/a/b/...", "/c")));
    }

    #[test]
    fn a_param_matches_one_non_empty_segment() {
        check(&["/t/:id"], "/t/7", Some(("/t/:id", "")));
        check(&["/t/:id"], "/t/7/8", None);
        check(&["/t/:id"], "/t/", None);
        let found = router(&["/t/:id/..."]).unwrap().find("/t/7/x/y").unwrap();
        assert_eq!(found.params, [("id".to_owned(), "7".to_owned())]);
        assert_eq!(found.path_info, "/x/y");
    }

    #[test]
    fn a_prefix_of_a_segment_is_no_match() {
        check(&["/api/..."], "/apix", None);
    }

    #[test]
    fn twins_and_malformed_routes_are_refused() {
        let twins = router(&["/a/:x", "/a/:y"]).unwrap_err().to_string();
        assert!(twins.contains("/a/:x") && twins.contains("/a/:y"), "{twins}");
        for bad in ["a", "/a...", "/.../a", "/:", "/:a b"] {
            assert!(Route::parse(bad).is_err(), "{bad}");
        }
    }
}
