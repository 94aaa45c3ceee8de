//! Whole trees of files: copied with their owners, measured, and told apart by a digest.
//!
//! Files, folders and links are all that an image can have here: devices are made by the engine, and sockets mean nothing in an image. Links are
//! never followed.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::time::SystemTime;

use ring::digest::{Context, SHA256, digest as sha256};

/// The users of a container that have a user of the machine.
const USERS: u32 = 65_536;

/// Copies what is in one folder into another that is there. The copy of user 0's files belongs to `first_user`, and so on. Times are kept.
pub(super) fn copy(from: &Path, to: &Path, first_user: u32) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let about = source.symlink_metadata()?;
        let kind = about.file_type();
        if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_dir() {
            fs::create_dir(&target)?;
            copy(&source, &target, first_user)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
        } else {
            continue;
        }
        dress(&target, &about, first_user)?;
    }
    let about = from.symlink_metadata()?;
    dress(to, &about, first_user)
}

/// Gives a copy the owner, mode and time of what it is a copy of; in this order, as a new owner takes special bits away.
fn dress(target: &Path, about: &Metadata, first_user: u32) -> io::Result<()> {
    let owner = |id: u32| first_user + id.min(USERS - 2);
    lchown(target, Some(owner(about.uid())), Some(owner(about.gid())))?;
    if about.file_type().is_symlink() {
        return Ok(());
    }
    fs::set_permissions(target, Permissions::from_mode(about.mode() & 0o7777))?;
    if about.file_type().is_file() {
        let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let file = fs::File::open(target)?;
        file.set_modified(modified)?;
    }
    Ok(())
}

/// The digest of all names, modes, owners and contents, and how many bytes they are. Times do not count.
pub(super) fn digest(root: &Path) -> io::Result<(String, u64)> {
    let (mut context, mut size) = (Context::new(&SHA256), 0);
    add(root, root, &mut context, &mut size)?;
    Ok((written(context.finish().as_ref()), size))
}

/// The digest of some pieces.
pub(super) fn digest_of(pieces: &[&[u8]]) -> String {
    written(sha256(&SHA256, &pieces.concat()).as_ref())
}

fn add(root: &Path, folder: &Path, context: &mut Context, size: &mut u64) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let about = path.symlink_metadata()?;
        let name = path.strip_prefix(root).unwrap_or(&path);
        // No file name has a zero byte in it, so no two trees are written the same.
        let head = format!("{}\0{:o} {} {} {}\0", name.display(), about.mode(), about.uid(), about.gid(), about.len());
        if about.file_type().is_symlink() {
            context.update(head.as_bytes());
            context.update(fs::read_link(&path)?.as_os_str().as_encoded_bytes());
        } else if about.is_dir() {
            context
                .update(format!("{}\0{:o} {} {}\0", name.display(), about.mode(), about.uid(), about.gid()).as_bytes());
            add(root, &path, context, size)?;
        } else {
            context.update(head.as_bytes());
            *size += about.len();
            let (mut file, mut piece) = (fs::File::open(&path)?, vec![0; 1 << 16]);
            loop {
                match file.read(&mut piece)? {
                    0 => break,
                    read => context.update(&piece[..read]),
                }
            }
        }
    }
    Ok(())
}

/// Bytes on the disk and number of files that changed after a moment (seconds and nanoseconds since 1970).
pub(super) fn changed_since(folder: &Path, moment: (i64, i64)) -> io::Result<(u64, u64)> {
    let (mut bytes, mut files) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // What is removed while we look was not there.
        let Ok(about) = path.symlink_metadata() else { continue };
        if (about.ctime(), about.ctime_nsec()) > moment {
            bytes += about.blocks() * 512;
            files += 1;
        }
        if about.is_dir() {
            let (more, others) = changed_since(&path, moment)?;
            bytes += more;
            files += others;
        }
    }
    Ok((bytes, files))
}

/// Removes a tree. One that is not there is removed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

fn written(digest: &[u8]) -> String {
    digest.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
