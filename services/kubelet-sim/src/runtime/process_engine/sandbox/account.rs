//! Who a container runs as: what the spec and the image say, completed by the image's own `/etc/passwd` and `/etc/group`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Who is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// A name or number, or both as `user:group`, as images write it; empty for root.
    pub(crate) user: String,
    /// In place of the user's own group.
    pub(crate) group: Option<u32>,
    /// Besides those that `/etc/group` gives.
    pub(crate) supplemental: Vec<u32>,
}

/// Who it is, in the container's own numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The first is `gid`.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

impl Wanted {
    /// Looks the user up under `root`. The error is in the words of the low-level runtime.
    pub(crate) fn resolve(&self, root: &Path) -> Result<Account, String> {
        // An image without these files has numbers only.
        let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
        self.find(&read("etc/passwd"), &read("etc/group"))
    }

    fn find(&self, passwd: &str, group: &str) -> Result<Account, String> {
        let (user, own_group) = match self.user.split_once(':') {
            Some((user, group)) => (user, group),
            None => (self.user.as_str(), ""),
        };
        let number: Option<u32> = if user.is_empty() { Some(0) } else { user.parse().ok() };
        let entry = entries(passwd).find(|entry| match number {
            Some(uid) => field(entry, 2) == uid.to_string(),
            None => field(entry, 0) == user,
        });
        let uid = number.or_else(|| field(entry.as_deref()?, 2).parse().ok());
        let uid = uid.ok_or_else(|| format!("unable to find user {user}: no matching entries in passwd file"))?;
        let name = entry.as_deref().map_or("", |entry| field(entry, 0)).to_owned();
        let of_name = |wanted: &str| {
            let found = entries(group).find(|entry| field(entry, 0) == wanted);
            found.and_then(|entry| field(&entry, 2).parse().ok())
        };
        let gid = match (self.group, own_group) {
            (Some(gid), _) => gid,
            (None, "") => entry.as_deref().and_then(|entry| field(entry, 3).parse().ok()).unwrap_or(0),
            (None, wanted) => wanted
                .parse()
                .ok()
                .or_else(|| of_name(wanted))
                .ok_or_else(|| format!("unable to find group {wanted}: no matching entries in group file"))?,
        };
        let member = |entry: &Vec<&str>| !name.is_empty() && field(entry, 3).split(',').any(|member| member == name);
        let memberships = entries(group).filter(member).filter_map(|entry| field(&entry, 2).parse().ok());
        let mut groups = vec![gid];
        for other in self.supplemental.iter().copied().chain(memberships) {
            if !groups.contains(&other) {
                groups.push(other);
            }
        }
        let home = entry.as_deref().map_or("", |entry| field(entry, 5));
        Ok(Account { uid, gid, groups, home: if home.is_empty() { "/" } else { home }.to_owned() })
    }
}

fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn field<'a>(entry: &[&'a str], index: usize) -> &'a str {
    entry.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnginx:x:101:102:nginx:/nonexistent:/bin/false\n";
    const GROUP: &str = "root:x:0:\nnginx:x:102:\nwww:x:33:nginx,other\n";

    #[test]
    fn users_are_found_by_name_and_number_with_their_groups() {
        /// User, group and other groups as they are wanted; then uid, gid, groups and home.
        type Case = (&'static str, Option<u32>, &'static [u32], (u32, u32, &'static [u32], &'static str));
        let cases: [Case; 7] = [
            ("", None, &[], (0, 0, &[0], "/root")),
            ("nginx", None, &[], (101, 102, &[102, 33], "/nonexistent")),
            ("101", None, &[2000, 33], (101, 102, &[102, 2000, 33], "/nonexistent")),
            ("1000", None, &[], (1000, 0, &[0], "/")),
            ("1000:www", None, &[], (1000, 33, &[33], "/")),
            ("nginx:0", None, &[], (101, 0, &[0, 33], "/nonexistent")),
            ("1000", Some(3000), &[4000], (1000, 3000, &[3000, 4000], "/")),
        ];
        for (user, group, supplemental, (uid, gid, groups, home)) in cases {
            let wanted = Wanted { user: user.to_owned(), group, supplemental: supplemental.to_vec() };
            let expected = Account { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
            assert_eq!(wanted.find(PASSWD, GROUP), Ok(expected), "{user}");
        }
    }

    #[test]
    fn a_name_that_the_image_does_not_know_is_refused() {
        let wanted = Wanted { user: "nobody".to_owned(), ..Wanted::default() };
        let message = "unable to find user nobody: no matching entries in passwd file".to_owned();
        assert_eq!(wanted.find(PASSWD, GROUP), Err(message));
    }
}
